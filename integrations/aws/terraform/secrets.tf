# A function gets references to the secrets it uses, and may read those and no others.

locals {
  uses_secrets = {
    chat          = ["OPENAI_API_KEY"]
    reply         = ["OPENAI_API_KEY", "TWILIO_AUTH_TOKEN", "COSTTRACE_HASH_KEY"]
    sms_inbound   = ["TWILIO_AUTH_TOKEN", "COSTTRACE_HASH_KEY"]
    sms_callback  = ["TWILIO_AUTH_TOKEN", "COSTTRACE_HASH_KEY"]
    parked        = []
    settlement    = ["TWILIO_AUTH_TOKEN"]
    reconcile     = ["TWILIO_AUTH_TOKEN", "COSTTRACE_HASH_KEY"]
    stream        = ["POSTHOG_API_KEY", "COSTTRACE_HASH_KEY"]
    notifications = ["TWILIO_AUTH_TOKEN", "COSTTRACE_HASH_KEY"]
  }

  # A reference to a parameter that is not there would keep a function from starting.
  references = {
    for name, reference in {
      TWILIO_AUTH_TOKEN  = var.secrets.twilio_auth_token
      OPENAI_API_KEY     = var.secrets.openai_api_key
      POSTHOG_API_KEY    = contains(var.exporters, "posthog") ? var.secrets.posthog_api_key : null
      COSTTRACE_HASH_KEY = var.secrets.hash_key
    } : name => reference if reference != null
  }

  # As costtrace.aws.secrets reads them.
  written = {
    for name, reference in local.references :
    name => "${startswith(reference, "/") ? "ssm" : "secretsmanager"}:${reference}"
  }

  secret_variables = {
    for function, names in local.uses_secrets :
    function => { for name in names : name => local.written[name] if contains(keys(local.written), name) }
  }

  parameters = format(
    "arn:%s:ssm:%s:%s:parameter",
    data.aws_partition.this.partition, data.aws_region.this.name, data.aws_caller_identity.this.account_id,
  )

  parameter_arns = {
    for function, names in local.uses_secrets : function => [
      for name in names : "${local.parameters}${local.references[name]}" if startswith(lookup(local.references, name, ""), "/")
    ]
  }

  secret_arns = {
    for function, names in local.uses_secrets : function => [
      for name in names : local.references[name] if startswith(lookup(local.references, name, ""), "arn:")
    ]
  }

  secret_statements = {
    for function in keys(local.uses_secrets) : function => concat(
      length(local.parameter_arns[function]) == 0 ? [] : [
        { Sid = "Parameters", Action = ["ssm:GetParameter"], Resource = local.parameter_arns[function] }
      ],
      length(local.secret_arns[function]) == 0 ? [] : [
        { Sid = "Secrets", Action = ["secretsmanager:GetSecretValue"], Resource = local.secret_arns[function] }
      ],
    )
  }
}
