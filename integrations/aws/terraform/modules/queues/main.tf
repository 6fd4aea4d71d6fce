# Each queue has dead letters of its own, so that an alarm says what failed and a redrive knows where things go back to.

locals {
  two_weeks_s = 1209600

  queues = {
    parked  = merge(var.parked, { name = "${var.name}-parked" })
    replies = merge(var.replies, { name = "${var.name}-replies", delay_s = 0 })
  }
}

resource "aws_sqs_queue" "work" {
  #checkov:skip=CKV_AWS_27:Encrypted by SQS unless kms_key_arn names your key.
  for_each                   = local.queues
  name                       = each.value.name
  delay_seconds              = each.value.delay_s
  visibility_timeout_seconds = each.value.retry_s
  message_retention_seconds  = local.two_weeks_s
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = var.kms_key_arn == null ? true : null
  kms_master_key_id          = var.kms_key_arn

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead[each.key].arn
    maxReceiveCount     = each.value.receives
  })
}

resource "aws_sqs_queue" "dead" {
  #checkov:skip=CKV_AWS_27:Encrypted by SQS unless kms_key_arn names your key.
  for_each = {
    parked      = "${var.name}-parked-dead"
    replies     = "${var.name}-replies-dead"
    undelivered = "${var.name}-undelivered"
  }
  name                      = each.value
  message_retention_seconds = local.two_weeks_s
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
}
