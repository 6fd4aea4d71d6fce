variable "ledger_table" {
  description = "Name of the ledger table, which this module makes."
  type        = string
}

variable "chat_messages_table" {
  description = "Name of the table of chat messages."
  type        = string
}

variable "adopt_chat_messages" {
  description = "True where the table of chat messages exists: it is read and checked, and never changed."
  type        = bool
}

variable "deletion_protection" {
  description = "Whether the tables made here refuse to be deleted."
  type        = bool
}

variable "kms_key_arn" {
  description = "Your own key for the tables made here; null for the key that AWS manages."
  type        = string
}
