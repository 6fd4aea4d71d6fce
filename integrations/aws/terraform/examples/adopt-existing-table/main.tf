# Your table of chat messages stays as it is: it is looked up by name, checked, and never managed by this code. Only the
# ledger is new.

provider "aws" {
  region = var.region
}

module "costtrace" {
  source = "../.."

  name                         = var.name
  chat_zip                     = var.chat_zip
  callback_zip                 = var.callback_zip
  existing_chat_messages_table = var.chat_messages_table
  other_kms_key_arns           = var.chat_messages_kms_key_arns
  twilio_account_sid           = var.twilio_account_sid
  messaging_service_sid        = var.messaging_service_sid
  secrets                      = var.secrets
  chat_jwt                     = var.chat_jwt
}
