# Memory buys CPU: the two that load LangChain start in a third of the time with 1 GB. What a function costs is billed by
# the millisecond, so the others take what their imports need. Twilio gives a webhook up after 15 seconds.

locals {
  functions = {
    chat          = { zip = var.chat_zip, memory_mb = 1024, timeout_s = 29 }
    reply         = { zip = var.chat_zip, memory_mb = 1024, timeout_s = 60 }
    sms_inbound   = { zip = var.callback_zip, memory_mb = 512, timeout_s = 14 }
    sms_callback  = { zip = var.callback_zip, memory_mb = 512, timeout_s = 14 }
    parked        = { zip = var.callback_zip, memory_mb = 512, timeout_s = 20 }
    settlement    = { zip = var.callback_zip, memory_mb = 512, timeout_s = 110 }
    reconcile     = { zip = var.callback_zip, memory_mb = 512, timeout_s = 900 }
    stream        = { zip = var.callback_zip, memory_mb = 512, timeout_s = 60 }
    notifications = { zip = var.callback_zip, memory_mb = 512, timeout_s = 30 }
  }

  variables = merge(
    {
      COSTTRACE_LEDGER                = local.ledger_address
      COSTTRACE_PUBLIC_BASE_URL       = local.public_base_url
      COSTTRACE_EXPORTERS             = join(",", var.exporters)
      COSTTRACE_ENVIRONMENT           = var.environment
      COSTTRACE_MODEL                 = var.model
      COSTTRACE_PARKED_QUEUE_URL      = module.queues.parked.url
      COSTTRACE_REPLY_QUEUE_URL       = module.queues.replies.url
      COSTTRACE_DEAD_LETTER_QUEUE_URL = module.queues.undelivered.url
      POSTHOG_HOST                    = var.posthog_host
      TWILIO_ACCOUNT_SID              = var.twilio_account_sid
    },
    var.from_number == null ? {} : { COSTTRACE_FROM_NUMBER = var.from_number },
    var.messaging_service_sid == null ? {} : { COSTTRACE_MESSAGING_SERVICE_SID = var.messaging_service_sid },
    var.extra_variables,
  )

  ledger_address = format(
    "dynamodb://?region=%s&ledger=%s&messages=%s",
    data.aws_region.this.name, module.store.ledger.name, module.store.chat_messages.name,
  )

  public_base_url = coalesce(var.public_base_url, module.api.endpoint)
}
