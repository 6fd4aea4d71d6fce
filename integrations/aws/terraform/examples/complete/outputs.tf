output "public_base_url" {
  description = "The address of the API."
  value       = module.costtrace.public_base_url
}

output "ledger" {
  description = "The ledger's address for the command line."
  value       = module.costtrace.ledger
}

output "ledger_table" {
  description = "Name of the ledger table."
  value       = module.costtrace.ledger_table
}

output "function_names" {
  description = "The functions."
  value       = module.costtrace.function_names
}

output "dead_letter_names" {
  description = "The queues that should be empty."
  value       = module.costtrace.dead_letter_names
}

output "alarm_topic_arn" {
  description = "Subscribe whoever should be told of alarms."
  value       = aws_sns_topic.alarms.arn
}
