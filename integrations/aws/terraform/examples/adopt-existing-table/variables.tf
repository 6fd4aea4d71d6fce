variable "region" {
  description = "Where your table is."
  type        = string
  default     = "eu-central-1"
}

variable "name" {
  description = "What every new name begins with."
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

variable "chat_messages_table" {
  description = "Your table: hash key threadId, range key timestamp, index MessageUuidIndex on messageId."
  type        = string
  default     = "chat-messages"
}

variable "chat_messages_kms_key_arns" {
  description = "The key your table is encrypted with, where it is your own."
  type        = list(string)
  default     = []
}

variable "twilio_account_sid" {
  description = "The Twilio account."
  type        = string
}

variable "messaging_service_sid" {
  description = "The Messaging Service that SMS are sent by."
  type        = string
}

variable "secrets" {
  description = "Where the secrets are."
  type = object({
    twilio_auth_token = string
    openai_api_key    = string
    hash_key          = string
  })
  default = {
    twilio_auth_token = "/costtrace/twilio-auth-token"
    openai_api_key    = "/costtrace/openai-api-key"
    hash_key          = "/costtrace/hash-key"
  }
}

variable "chat_jwt" {
  description = "Who issues the tokens of POST /chat, and for whom; null where callers sign with IAM."
  type        = object({ issuer = string, audience = list(string) })
  default     = null
}
