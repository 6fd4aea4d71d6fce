output "public_base_url" {
  description = "The address of the API."
  value       = module.costtrace.public_base_url
}

output "ledger" {
  description = "The ledger's address for the command line."
  value       = module.costtrace.ledger
}

output "chat_messages_table" {
  description = "Your table."
  value       = module.costtrace.chat_messages_table
}
