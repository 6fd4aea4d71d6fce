# Each alarm names what a person has to look at. No data is no alarm: most of these metrics exist only while something
# happens.

locals {
  functions = merge([
    for key, name in var.function_names : {
      "${key}-errors"    = { function = name, metric = "Errors", text = "${name} failed; its log has the reason." }
      "${key}-throttles" = { function = name, metric = "Throttles", text = "${name} was refused a place to run: raise its reserve or the account's limit." }
    }
  ]...)
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  for_each            = var.dead_letter_names
  alarm_name          = "${var.name}-dead-letters-${each.key}"
  alarm_description   = "${each.value} holds what failed for good. Look at it, repair the cause, then redrive it."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = each.value }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.topic_arns
  ok_actions          = var.topic_arns
}

resource "aws_cloudwatch_metric_alarm" "functions" {
  for_each            = local.functions
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = "AWS/Lambda"
  metric_name         = each.value.metric
  dimensions          = { FunctionName = each.value.function }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.topic_arns
  ok_actions          = var.topic_arns
}

resource "aws_cloudwatch_metric_alarm" "iterator_age" {
  alarm_name          = "${var.name}-stream-age"
  alarm_description   = "Entries wait to be exported. The stream keeps them for 24 hours, the ledger for good."
  namespace           = "AWS/Lambda"
  metric_name         = "IteratorAge"
  dimensions          = { FunctionName = var.stream_function_name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.thresholds.iterator_age_ms
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.topic_arns
  ok_actions          = var.topic_arns
}

# DynamoDB counts what it throttled by table and operation, so the operations are added up.
resource "aws_cloudwatch_metric_alarm" "throttled" {
  for_each            = var.tables
  alarm_name          = "${var.name}-${each.key}-throttled"
  alarm_description   = "${each.value.name} refused requests for their number. Look for one thread or message that is written far more than the others."
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.topic_arns
  ok_actions          = var.topic_arns

  metric_query {
    id          = "all"
    expression  = "SUM(METRICS())"
    label       = "ThrottledRequests"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.operations

    content {
      id = lower(metric_query.value)

      metric {
        namespace   = "AWS/DynamoDB"
        metric_name = "ThrottledRequests"
        stat        = "Sum"
        period      = 300
        dimensions  = { TableName = each.value.name, Operation = metric_query.value }
      }
    }
  }
}

# A repeated write is refused and costs a unit. Some are normal: Twilio and SQS say things twice.
resource "aws_cloudwatch_metric_alarm" "repeated_writes" {
  alarm_name          = "${var.name}-repeated-writes"
  alarm_description   = "The same entries are written again and again. Look for a retry that never ends."
  namespace           = "AWS/DynamoDB"
  metric_name         = "ConditionalCheckFailedRequests"
  dimensions          = { TableName = var.ledger_table }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.thresholds.repeated_writes
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.topic_arns
  ok_actions          = var.topic_arns
}

resource "aws_cloudwatch_metric_alarm" "api_errors" {
  alarm_name          = "${var.name}-api-errors"
  alarm_description   = "The API answered 5xx. Twilio tries a callback again three times; what was lost, the nightly reconcile finds."
  namespace           = "AWS/ApiGateway"
  metric_name         = "5xx"
  dimensions          = { ApiId = var.api_id }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.topic_arns
  ok_actions          = var.topic_arns
}
