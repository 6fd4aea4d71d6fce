# Everything new: tables, functions, API, queues, schedules, and alarms that are mailed.

provider "aws" {
  region = var.region
}

module "costtrace" {
  source = "../.."

  name                = var.name
  chat_zip            = var.chat_zip
  callback_zip        = var.callback_zip
  ledger_table        = "${var.name}-ledger"
  chat_messages_table = "${var.name}-chat-messages"
  deletion_protection = var.deletion_protection
  twilio_account_sid  = var.twilio_account_sid
  from_number         = var.from_number
  secrets             = var.secrets
  exporters           = var.exporters
  parked              = var.parked
  extra_variables     = var.extra_variables
  alarm_topic_arns    = [aws_sns_topic.alarms.arn]
}

# Subscribe an address of yours to it.
resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26:CloudWatch cannot publish to a topic under the key that AWS manages, and an alarm says nothing secret.
  name = "${var.name}-alarms"
}
