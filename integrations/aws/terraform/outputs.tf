output "public_base_url" {
  description = "The address of POST /chat, /sms/inbound and /sms/callback; give Twilio the second one."
  value       = local.public_base_url

  precondition {
    condition     = (var.from_number == null) != (var.messaging_service_sid == null)
    error_message = "Set one of from_number and messaging_service_sid: SMS are sent from a number or by a Messaging Service."
  }

  precondition {
    condition     = !contains(var.exporters, "posthog") || var.secrets.posthog_api_key != null
    error_message = "exporters has posthog: secrets.posthog_api_key must say where its project token is."
  }
}

output "ledger" {
  description = "The ledger's address for the command line: costtrace report --ledger ..."
  value       = local.ledger_address
}

output "ledger_table" {
  description = "Name of the ledger table."
  value       = module.store.ledger.name
}

output "chat_messages_table" {
  description = "Name of the table of chat messages, made or adopted."
  value       = module.store.chat_messages.name
}

output "function_names" {
  description = "The functions, by what they do; notifications is yours to invoke."
  value       = { for key, function in module.function : key => function.name }
}

output "dead_letter_names" {
  description = "The queues that should be empty."
  value       = module.queues.dead_letter_names
}
