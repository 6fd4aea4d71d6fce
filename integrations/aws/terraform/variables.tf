# ---- what it is called, and where its code is

variable "name" {
  description = "What the names of everything made here begin with."
  type        = string
  default     = "costtrace"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,29}$", var.name))
    error_message = "name: expected 2 to 30 lower-case letters, digits and hyphens, beginning with a letter, such as costtrace."
  }
}

variable "chat_zip" {
  description = "Path of chat.zip, made by integrations/aws/build.py: the functions that run the agent."
  type        = string

  validation {
    condition     = fileexists(var.chat_zip)
    error_message = "chat_zip: no such file. Make it with: python integrations/aws/build.py --out build"
  }
}

variable "callback_zip" {
  description = "Path of callback.zip, made by integrations/aws/build.py: every other function."
  type        = string

  validation {
    condition     = fileexists(var.callback_zip)
    error_message = "callback_zip: no such file. Make it with: python integrations/aws/build.py --out build"
  }
}

# ---- tables

variable "existing_chat_messages_table" {
  description = "Name of your table of chat messages, which is read and written but never changed; null to make one."
  type        = string
  default     = null
}

variable "chat_messages_table" {
  description = "Name of the table of chat messages to make, where you have none."
  type        = string
  default     = "chat-messages"

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{3,255}$", var.chat_messages_table))
    error_message = "chat_messages_table: expected 3 to 255 letters, digits, hyphens, dots and underscores."
  }
}

variable "ledger_table" {
  description = "Name of the ledger table to make."
  type        = string
  default     = "costtrace-ledger"

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{3,255}$", var.ledger_table))
    error_message = "ledger_table: expected 3 to 255 letters, digits, hyphens, dots and underscores."
  }
}

variable "deletion_protection" {
  description = "Whether the tables refuse to be deleted. Switch it off, and apply, before you destroy."
  type        = bool
  default     = true
}

# ---- secrets: where they are, never what they are

variable "secrets" {
  description = <<-EOT
    Where the secrets are: the name of an SSM parameter, /costtrace/twilio-auth-token, or the ARN of a Secrets Manager secret.
    The functions read them when they start; Terraform never does, so no value reaches the state.
    hash_key makes the hashes that stand for phone numbers: any 32 random characters, kept for good. posthog_api_key is needed
    where an exporter is posthog.
  EOT
  type = object({
    twilio_auth_token = string
    openai_api_key    = string
    hash_key          = string
    posthog_api_key   = optional(string)
  })

  validation {
    condition = alltrue([
      for reference in values(var.secrets) : reference == null ? true : can(regex(
        "^(/[A-Za-z0-9_./-]+|arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+-[A-Za-z0-9]{6})$", reference
      ))
    ])
    error_message = "secrets: each is the name of an SSM parameter that begins with a slash, such as /costtrace/openai-api-key, or the whole ARN of a Secrets Manager secret. Never the secret itself."
  }
}

variable "kms_key_arn" {
  description = "Your own KMS key for tables, queues, logs and environments made here; null for keys that AWS manages."
  type        = string
  default     = null
}

variable "other_kms_key_arns" {
  description = "KMS keys of your own that secrets or an existing table are encrypted with; the functions may decrypt with them."
  type        = list(string)
  default     = []
}

# ---- what the functions do

variable "twilio_account_sid" {
  description = "The Twilio account."
  type        = string

  validation {
    condition     = can(regex("^AC[0-9a-f]{32}$", var.twilio_account_sid))
    error_message = "twilio_account_sid: expected AC and 32 hexadecimal digits."
  }
}

variable "from_number" {
  description = "The number SMS are sent from, such as +14155550100; null where messaging_service_sid is set."
  type        = string
  default     = null

  validation {
    condition     = var.from_number == null ? true : can(regex("^\\+[1-9][0-9]{6,14}$", var.from_number))
    error_message = "from_number: expected E.164, such as +14155550100."
  }
}

variable "messaging_service_sid" {
  description = "The Messaging Service that SMS are sent by; null where from_number is set."
  type        = string
  default     = null

  validation {
    condition     = var.messaging_service_sid == null ? true : can(regex("^MG[0-9a-f]{32}$", var.messaging_service_sid))
    error_message = "messaging_service_sid: expected MG and 32 hexadecimal digits."
  }
}

variable "model" {
  description = "The model that answers, as provider:model."
  type        = string
  default     = "openai:gpt-4o-mini"
}

variable "exporters" {
  description = "Where the ledger's stream is delivered to, such as posthog."
  type        = list(string)
  default     = []
}

variable "posthog_host" {
  description = "Address of PostHog, such as https://eu.i.posthog.com."
  type        = string
  default     = "https://us.i.posthog.com"

  validation {
    condition     = startswith(var.posthog_host, "https://")
    error_message = "posthog_host: expected an address that begins with https://."
  }
}

variable "environment" {
  description = "The environment's name on entries and events, such as production."
  type        = string
  default     = "production"
}

variable "extra_variables" {
  description = "More environment variables for every function, such as OTEL_EXPORTER_OTLP_ENDPOINT. They stand in the state: no secrets."
  type        = map(string)
  default     = {}

  validation {
    condition     = !anytrue([for name in keys(var.extra_variables) : can(regex("(TOKEN|SECRET|PASSWORD|API_KEY|HASH_KEY|HEADERS)$", name))])
    error_message = "extra_variables: a name that ends in TOKEN, SECRET, PASSWORD, KEY or HEADERS holds a secret, and this map stands in the state. Use `secrets`."
  }
}

# ---- the API

variable "public_base_url" {
  description = "The address Twilio calls, where that is a domain of yours in front of the API; null for the API's own."
  type        = string
  default     = null

  validation {
    condition     = var.public_base_url == null ? true : can(regex("^https://[^/?#]+(/[^?#]*[^/?#])?$", var.public_base_url))
    error_message = "public_base_url: expected https://, a host, and no slash at the end."
  }
}

variable "chat_jwt" {
  description = "Who issues the tokens of POST /chat, and for whom; null: callers sign with IAM and need execute-api:Invoke."
  type        = object({ issuer = string, audience = list(string) })
  default     = null

  validation {
    condition     = var.chat_jwt == null ? true : startswith(var.chat_jwt.issuer, "https://") && length(var.chat_jwt.audience) > 0
    error_message = "chat_jwt: expected an issuer that begins with https:// and at least one audience."
  }
}

variable "throttling" {
  description = "Requests a second, and how many at once, over all callers of one route."
  type        = object({ rate = number, burst = number })
  default     = { rate = 100, burst = 200 }
}

# ---- limits, times and alarms

variable "reserved_concurrency" {
  description = "Concurrent calls kept for a function, which are also its limit, such as { chat = 20 }. An account needs 100 that are kept for nobody."
  type        = map(number)
  default     = {}

  validation {
    condition = length(setsubtract(keys(var.reserved_concurrency), [
      "chat", "reply", "sms_inbound", "sms_callback", "parked", "settlement", "reconcile", "stream", "notifications",
    ])) == 0
    error_message = "reserved_concurrency: expected chat, reply, sms_inbound, sms_callback, parked, settlement, reconcile, stream or notifications."
  }
}

variable "reply_concurrency" {
  description = "How many replies are written at once; the others wait in their queue."
  type        = number
  default     = 10

  validation {
    condition     = var.reply_concurrency >= 2 && var.reply_concurrency <= 1000
    error_message = "reply_concurrency: expected 2 to 1000, which is what Lambda accepts."
  }
}

variable "parked" {
  description = "A callback whose message is not known yet: seconds between tries, and how many tries before it is a dead letter."
  type        = object({ retry_s = number, receives = number })
  default     = { retry_s = 60, receives = 8 }

  validation {
    condition     = var.parked.retry_s >= 20 && var.parked.receives >= 1 && var.parked.receives <= 1000
    error_message = "parked: expected at least 20 seconds between tries (as long as the function may run), and 1 to 1000 tries."
  }
}

variable "schedules" {
  description = "When Twilio is asked for prices that are due, and when its own list is compared with the ledger; in UTC."
  type        = object({ settlement = string, reconcile = string })
  default     = { settlement = "rate(2 minutes)", reconcile = "cron(30 3 * * ? *)" }

  validation {
    condition     = alltrue([for when in values(var.schedules) : can(regex("^(rate|cron)\\(.+\\)$", when))])
    error_message = "schedules: expected rate(...) or cron(...)."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days: expected a number that CloudWatch knows, such as 14, 30, 90 or 365."
  }
}

variable "alarm_topic_arns" {
  description = "SNS topics that are told of alarms. Empty: the alarms stand in CloudWatch and nobody is told."
  type        = list(string)
  default     = []
}

variable "alarm_thresholds" {
  description = "Age of the stream in milliseconds, and repeated writes in five minutes, above which an alarm goes off."
  type        = object({ iterator_age_ms = number, repeated_writes = number })
  default     = { iterator_age_ms = 300000, repeated_writes = 1000 }
}
