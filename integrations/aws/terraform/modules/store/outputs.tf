output "ledger" {
  description = "The ledger table: name, arn, index_arn, stream_arn."
  value = {
    name       = aws_dynamodb_table.ledger.name
    arn        = aws_dynamodb_table.ledger.arn
    index_arn  = "${aws_dynamodb_table.ledger.arn}/index/FeedIndex"
    stream_arn = aws_dynamodb_table.ledger.stream_arn
  }
}

output "chat_messages" {
  description = "The table of chat messages, made or adopted: name, arn, index_arn."
  value = {
    name      = local.chat_messages.name
    arn       = local.chat_messages.arn
    index_arn = "${local.chat_messages.arn}/index/MessageUuidIndex"
  }
}

locals {
  chat_messages = var.adopt_chat_messages ? {
    name = data.aws_dynamodb_table.chat_messages[0].name
    arn  = data.aws_dynamodb_table.chat_messages[0].arn
    } : {
    name = aws_dynamodb_table.chat_messages[0].name
    arn  = aws_dynamodb_table.chat_messages[0].arn
  }
}
