variable "name" {
  description = "What the names of the queues begin with."
  type        = string
}

variable "parked" {
  description = "Callbacks whose message is not known yet: seconds before the first try and between tries, and how many tries."
  type = object({
    delay_s  = number
    retry_s  = number
    receives = number
  })
}

variable "replies" {
  description = "Jobs that answer an inbound SMS: seconds between tries, and how many tries."
  type = object({
    retry_s  = number
    receives = number
  })
}

variable "kms_key_arn" {
  description = "Your own key for the queues; null for encryption that SQS manages."
  type        = string
}
