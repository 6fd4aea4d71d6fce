variable "name" {
  description = "Name of the API."
  type        = string
}

variable "chat" {
  description = "The function behind POST /chat: name, invoke_arn."
  type        = object({ name = string, invoke_arn = string })
}

variable "sms_inbound" {
  description = "The function behind POST /sms/inbound: name, invoke_arn."
  type        = object({ name = string, invoke_arn = string })
}

variable "sms_callback" {
  description = "The function behind POST /sms/callback: name, invoke_arn."
  type        = object({ name = string, invoke_arn = string })
}

variable "chat_jwt" {
  description = "Who issues the tokens of POST /chat and for whom; null where callers sign with IAM."
  type        = object({ issuer = string, audience = list(string) })
}

variable "throttling" {
  description = "Requests a second, and how many at once, over all callers of one route."
  type        = object({ rate = number, burst = number })
}

variable "log_retention_days" {
  description = "How long the access log is kept."
  type        = number
}

variable "kms_key_arn" {
  description = "Your own key for the access log; null for the key that AWS manages."
  type        = string
}
