# The whole deployment. What a function is stands in functions.tf, what it may do in permissions.tf, and what starts it in
# triggers.tf and the modules api and schedules.

data "aws_region" "this" {}

data "aws_partition" "this" {}

data "aws_caller_identity" "this" {}

module "store" {
  source = "./modules/store"

  ledger_table        = var.ledger_table
  chat_messages_table = coalesce(var.existing_chat_messages_table, var.chat_messages_table)
  adopt_chat_messages = var.existing_chat_messages_table != null
  deletion_protection = var.deletion_protection
  kms_key_arn         = var.kms_key_arn
}

module "queues" {
  source = "./modules/queues"

  name        = var.name
  parked      = merge(var.parked, { delay_s = 5 })
  replies     = { retry_s = 6 * local.functions.reply.timeout_s, receives = 5 }
  kms_key_arn = var.kms_key_arn
}

module "function" {
  source   = "./modules/function"
  for_each = local.functions

  name                 = "${var.name}-${replace(each.key, "_", "-")}"
  handler              = "handlers.${each.key}.handler"
  zip                  = each.value.zip
  memory_mb            = each.value.memory_mb
  timeout_s            = each.value.timeout_s
  environment          = merge(local.variables, local.secret_variables[each.key])
  statements           = concat(local.permissions[each.key], local.secret_statements[each.key])
  reserved_concurrency = lookup(var.reserved_concurrency, each.key, null)
  dead_letter_arn      = each.key == "notifications" ? module.queues.undelivered.arn : null
  log_retention_days   = var.log_retention_days
  kms_key_arn          = var.kms_key_arn
}

module "api" {
  source = "./modules/api"

  name               = var.name
  chat               = { name = module.function["chat"].name, invoke_arn = module.function["chat"].invoke_arn }
  sms_inbound        = { name = module.function["sms_inbound"].name, invoke_arn = module.function["sms_inbound"].invoke_arn }
  sms_callback       = { name = module.function["sms_callback"].name, invoke_arn = module.function["sms_callback"].invoke_arn }
  chat_jwt           = var.chat_jwt
  throttling         = var.throttling
  log_retention_days = var.log_retention_days
  kms_key_arn        = var.kms_key_arn
}

module "schedules" {
  source = "./modules/schedules"

  name = var.name
  schedules = {
    settlement = { when = var.schedules.settlement, function_arn = module.function["settlement"].arn }
    reconcile  = { when = var.schedules.reconcile, function_arn = module.function["reconcile"].arn }
  }
}

module "alarms" {
  source = "./modules/alarms"

  name                 = var.name
  topic_arns           = var.alarm_topic_arns
  dead_letter_names    = module.queues.dead_letter_names
  function_names       = { for key, function in module.function : replace(key, "_", "-") => function.name }
  stream_function_name = module.function["stream"].name
  ledger_table         = module.store.ledger.name
  api_id               = module.api.id
  thresholds           = var.alarm_thresholds

  tables = {
    ledger        = { name = module.store.ledger.name, operations = ["PutItem", "GetItem", "Query", "DeleteItem"] }
    chat-messages = { name = module.store.chat_messages.name, operations = ["PutItem", "UpdateItem", "GetItem", "Query"] }
  }
}
