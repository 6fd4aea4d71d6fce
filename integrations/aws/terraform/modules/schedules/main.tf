resource "aws_scheduler_schedule" "this" {
  #checkov:skip=CKV_AWS_297:The event is empty: there is nothing in it to encrypt.
  for_each            = var.schedules
  name                = "${var.name}-${each.key}"
  schedule_expression = each.value.when

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = each.value.function_arn
    role_arn = aws_iam_role.this.arn

    # The next run does what a missed one would have done.
    retry_policy {
      maximum_retry_attempts       = 0
      maximum_event_age_in_seconds = 60
    }
  }
}

resource "aws_iam_role" "this" {
  name = "${var.name}-schedules"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "scheduler.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.this.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "may"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "Invoke"
      Effect   = "Allow"
      Action   = ["lambda:InvokeFunction"]
      Resource = [for schedule in var.schedules : schedule.function_arn]
    }]
  })
}

data "aws_caller_identity" "this" {}
