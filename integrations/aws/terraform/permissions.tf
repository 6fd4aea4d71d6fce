# What each function may do: these actions on these resources, and nothing else. The README has a line for each.

locals {
  ledger   = module.store.ledger
  messages = module.store.chat_messages

  grants = {
    # Entries are put if absent. No UpdateItem: what is written stays.
    write_ledger = {
      Sid      = "WriteLedger"
      Action   = ["dynamodb:PutItem"]
      Resource = [local.ledger.arn]
    }
    read_ledger = {
      Sid      = "ReadLedger"
      Action   = ["dynamodb:GetItem", "dynamodb:Query"]
      Resource = [local.ledger.arn]
    }
    # All entries in the order they were stored, for those that go through more than one message.
    feed = {
      Sid      = "LedgerFeed"
      Action   = ["dynamodb:Query"]
      Resource = [local.ledger.index_arn]
    }
    # Markers of prices that are awaited are hints and go when the price is there. The condition keeps this off entries.
    markers = {
      Sid       = "LedgerMarkers"
      Action    = ["dynamodb:DeleteItem"]
      Resource  = [local.ledger.arn]
      Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["w#*"] } }
    }
    write_messages = {
      Sid      = "WriteMessages"
      Action   = ["dynamodb:PutItem"]
      Resource = [local.messages.arn]
    }
    read_messages = {
      Sid      = "ReadMessages"
      Action   = ["dynamodb:GetItem", "dynamodb:Query"]
      Resource = [local.messages.arn]
    }
    messages_by_uuid = {
      Sid      = "MessagesByUuid"
      Action   = ["dynamodb:Query"]
      Resource = [local.messages.index_arn]
    }
    # The fields costs.gpt and costs.twilio of a message.
    costs = {
      Sid      = "MessageCosts"
      Action   = ["dynamodb:UpdateItem"]
      Resource = [local.messages.arn]
    }
    park = {
      Sid      = "Park"
      Action   = ["sqs:SendMessage"]
      Resource = [module.queues.parked.arn]
    }
    unpark = {
      Sid      = "Unpark"
      Action   = local.consume
      Resource = [module.queues.parked.arn]
    }
    ask_for_reply = {
      Sid      = "AskForReply"
      Action   = ["sqs:SendMessage"]
      Resource = [module.queues.replies.arn]
    }
    take_reply_jobs = {
      Sid      = "TakeReplyJobs"
      Action   = local.consume
      Resource = [module.queues.replies.arn]
    }
    dead_letters = {
      Sid      = "DeadLetters"
      Action   = ["sqs:SendMessage"]
      Resource = [module.queues.undelivered.arn]
    }
    stream = {
      Sid      = "Stream"
      Action   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]
      Resource = [local.ledger.stream_arn]
    }
    streams = {
      Sid      = "Streams"
      Action   = ["dynamodb:ListStreams"]
      Resource = ["${local.ledger.arn}/stream/*"]
    }
  }

  consume = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]

  keeps_ledger = [local.grants.read_ledger, local.grants.write_ledger, local.grants.markers]
  reads_stream = [local.grants.stream, local.grants.streams]
  reads_chat   = [local.grants.read_messages, local.grants.messages_by_uuid]
  keeps_chat   = concat(local.reads_chat, [local.grants.write_messages])

  may = {
    chat          = [local.keeps_ledger, local.keeps_chat, local.grants.costs]
    reply         = [local.keeps_ledger, local.keeps_chat, local.grants.take_reply_jobs]
    sms_inbound   = [local.keeps_ledger, local.keeps_chat, local.grants.ask_for_reply]
    sms_callback  = [local.keeps_ledger, local.grants.park]
    parked        = [local.keeps_ledger, local.grants.unpark]
    settlement    = [local.keeps_ledger, local.grants.feed]
    reconcile     = [local.keeps_ledger, local.grants.feed]
    stream        = [local.grants.read_ledger, local.reads_stream, local.reads_chat, local.grants.costs, local.grants.dead_letters]
    notifications = [local.keeps_ledger, local.keeps_chat, local.grants.dead_letters]
  }

  permissions = { for function, grants in local.may : function => flatten([grants, local.own_keys]) }

  # Where keys are your own, whoever reads or writes what they encrypt needs them.
  own_keys = concat(
    var.kms_key_arn == null ? [] : [{
      Sid      = "Encrypt"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = [var.kms_key_arn]
    }],
    length(var.other_kms_key_arns) == 0 ? [] : [{
      Sid      = "Decrypt"
      Action   = ["kms:Decrypt"]
      Resource = var.other_kms_key_arns
    }],
  )
}
