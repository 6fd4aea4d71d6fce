# The ledger is written with put-if-absent only and holds the truth about money; chat-messages belongs to the application.

resource "aws_dynamodb_table" "ledger" {
  #checkov:skip=CKV_AWS_119:Encrypted with the key AWS manages unless kms_key_arn names yours.
  name                        = var.ledger_table
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection
  stream_enabled              = true
  stream_view_type            = "NEW_IMAGE"

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  attribute {
    name = "feed"
    type = "S"
  }

  attribute {
    name = "seq"
    type = "N"
  }

  global_secondary_index {
    name            = "FeedIndex"
    hash_key        = "feed"
    range_key       = "seq"
    projection_type = "ALL"
  }

  point_in_time_recovery {
    enabled = true
  }

  # Nothing sets it by default: a ledger forgets only where you tell it to.
  ttl {
    attribute_name = "expiresAt"
    enabled        = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}

resource "aws_dynamodb_table" "chat_messages" {
  #checkov:skip=CKV_AWS_119:Encrypted with the key AWS manages unless kms_key_arn names yours.
  count                       = var.adopt_chat_messages ? 0 : 1
  name                        = var.chat_messages_table
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "threadId"
  range_key                   = "timestamp"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "threadId"
    type = "S"
  }

  attribute {
    name = "timestamp"
    type = "S"
  }

  attribute {
    name = "messageId"
    type = "S"
  }

  # Keys are all that a look-up by message needs, and each write costs less.
  global_secondary_index {
    name            = "MessageUuidIndex"
    hash_key        = "messageId"
    projection_type = "KEYS_ONLY"
  }

  point_in_time_recovery {
    enabled = true
  }

  ttl {
    attribute_name = "expiresAt"
    enabled        = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}

data "aws_dynamodb_table" "chat_messages" {
  count = var.adopt_chat_messages ? 1 : 0
  name  = var.chat_messages_table

  lifecycle {
    postcondition {
      condition     = self.hash_key == "threadId" && self.range_key == "timestamp"
      error_message = "Table ${self.name}: expected hash key threadId and range key timestamp, found ${self.hash_key} and ${coalesce(self.range_key, "none")}."
    }

    postcondition {
      condition = anytrue([
        for index in self.global_secondary_index : index.name == "MessageUuidIndex" && index.hash_key == "messageId"
      ])
      error_message = "Table ${self.name} has no index MessageUuidIndex on messageId; a message is looked up through it. Add it, then apply again."
    }
  }
}
