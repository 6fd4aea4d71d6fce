variable "name" {
  description = "Name of the function, its role and its log group."
  type        = string
}

variable "handler" {
  description = "Dotted path of the function in the zip, such as handlers.chat.handler."
  type        = string
}

variable "zip" {
  description = "Path of the zip made by integrations/aws/build.py."
  type        = string
}

variable "memory_mb" {
  description = "Memory, and with it the share of a CPU."
  type        = number
}

variable "timeout_s" {
  description = "After how long Lambda ends a call."
  type        = number
}

variable "environment" {
  description = "Environment variables. No secrets: a reference to one where the function needs it."
  type        = map(string)
}

variable "statements" {
  description = "What the function may do beyond its own log and traces: statements of an IAM policy that allow."
  type = list(object({
    Sid       = string
    Action    = list(string)
    Resource  = list(string)
    Condition = optional(map(map(list(string))))
  }))
}

variable "reserved_concurrency" {
  description = "Concurrent calls kept for this function, which are also its limit; null for a share of the account's."
  type        = number
}

variable "dead_letter_arn" {
  description = "Queue for events that failed for good, of a function that is called asynchronously; null for none."
  type        = string
}

variable "log_retention_days" {
  description = "How long the log is kept."
  type        = number
}

variable "kms_key_arn" {
  description = "Your own key for the log and the environment; null for keys that AWS manages."
  type        = string
}
