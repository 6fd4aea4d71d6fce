output "parked" {
  description = "Callbacks that wait for their message: arn, url."
  value       = { arn = aws_sqs_queue.work["parked"].arn, url = aws_sqs_queue.work["parked"].url }
}

output "replies" {
  description = "Jobs that answer an inbound SMS: arn, url."
  value       = { arn = aws_sqs_queue.work["replies"].arn, url = aws_sqs_queue.work["replies"].url }
}

output "undelivered" {
  description = "What no exporter took, and notifications that failed: arn, url."
  value       = { arn = aws_sqs_queue.dead["undelivered"].arn, url = aws_sqs_queue.dead["undelivered"].url }
}

output "dead_letter_names" {
  description = "Every queue that should be empty, by what it holds: parked, replies, undelivered."
  value       = { for key, queue in aws_sqs_queue.dead : key => queue.name }
}
