variable "region" {
  description = "Where everything is made."
  type        = string
  default     = "eu-central-1"
}

variable "name" {
  description = "What every name begins with."
  type        = string
  default     = "costtrace"
}

variable "chat_zip" {
  description = "Path of chat.zip."
  type        = string
  default     = "../../../../../build/chat.zip"
}

variable "callback_zip" {
  description = "Path of callback.zip."
  type        = string
  default     = "../../../../../build/callback.zip"
}

variable "deletion_protection" {
  description = "Whether the tables refuse to be deleted."
  type        = bool
  default     = true
}

variable "twilio_account_sid" {
  description = "The Twilio account."
  type        = string
}

variable "from_number" {
  description = "The number SMS are sent from."
  type        = string
}

variable "secrets" {
  description = "Where the secrets are."
  type = object({
    twilio_auth_token = string
    openai_api_key    = string
    hash_key          = string
    posthog_api_key   = optional(string)
  })
  default = {
    twilio_auth_token = "/costtrace/twilio-auth-token"
    openai_api_key    = "/costtrace/openai-api-key"
    hash_key          = "/costtrace/hash-key"
    posthog_api_key   = "/costtrace/posthog-api-key"
  }
}

variable "exporters" {
  description = "Where the ledger's stream is delivered to."
  type        = list(string)
  default     = ["posthog"]
}

variable "parked" {
  description = "Seconds between tries of a parked callback, and how many tries."
  type        = object({ retry_s = number, receives = number })
  default     = { retry_s = 60, receives = 8 }
}

variable "extra_variables" {
  description = "More environment variables for every function, no secrets."
  type        = map(string)
  default     = {}
}
