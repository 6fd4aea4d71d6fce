# Queues and the ledger's stream, which Lambda reads for us. Each function says which records failed, and only those come
# again.

resource "aws_lambda_event_source_mapping" "parked" {
  event_source_arn        = module.queues.parked.arn
  function_name           = module.function["parked"].arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]
}

resource "aws_lambda_event_source_mapping" "replies" {
  event_source_arn        = module.queues.replies.arn
  function_name           = module.function["reply"].arn
  batch_size              = 1
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.reply_concurrency
  }
}

# An exporter that is down is tried again for twelve hours; that leaves the other twelve of the stream's life to read a
# batch again that the dead letter names. What a destination refuses for good, the function itself sets aside.
resource "aws_lambda_event_source_mapping" "stream" {
  event_source_arn                   = module.store.ledger.stream_arn
  function_name                      = module.function["stream"].arn
  starting_position                  = "TRIM_HORIZON"
  batch_size                         = 100
  maximum_batching_window_in_seconds = 1
  bisect_batch_on_function_error     = true
  maximum_retry_attempts             = 1000
  maximum_record_age_in_seconds      = 43200
  function_response_types            = ["ReportBatchItemFailures"]

  # Entries only: rows that are pointers and markers cost no call.
  filter_criteria {
    filter {
      pattern = jsonencode({ eventName = ["INSERT"], dynamodb = { Keys = { pk = { S = [{ prefix = "m#" }] } } } })
    }
  }

  destination_config {
    on_failure {
      destination_arn = module.queues.undelivered.arn
    }
  }
}
