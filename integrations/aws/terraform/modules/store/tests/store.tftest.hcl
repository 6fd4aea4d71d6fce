# Runs without an account: `terraform init && terraform test`, Terraform 1.7 or newer.

mock_provider "aws" {
  mock_resource "aws_dynamodb_table" {
    defaults = {
      arn        = "arn:aws:dynamodb:eu-central-1:123456789012:table/made"
      stream_arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/made/stream/2026-11-22T00:00:00.000"
    }
  }

  mock_data "aws_dynamodb_table" {
    defaults = {
      arn       = "arn:aws:dynamodb:eu-central-1:123456789012:table/chat-messages"
      hash_key  = "threadId"
      range_key = "timestamp"
      global_secondary_index = [{
        name               = "MessageUuidIndex"
        hash_key           = "messageId"
        range_key          = ""
        projection_type    = "ALL"
        non_key_attributes = []
        read_capacity      = 0
        write_capacity     = 0
      }]
    }
  }
}

variables {
  ledger_table        = "costtrace-ledger"
  chat_messages_table = "chat-messages"
  adopt_chat_messages = false
  deletion_protection = true
  kms_key_arn         = null
}

run "new_tables_are_protected" {
  command = plan

  assert {
    condition = alltrue([
      for table in [aws_dynamodb_table.ledger, aws_dynamodb_table.chat_messages[0]] :
      table.deletion_protection_enabled && table.point_in_time_recovery[0].enabled && table.server_side_encryption[0].enabled
    ])
    error_message = "A table can be deleted, has no recovery or is not encrypted."
  }

  assert {
    condition     = aws_dynamodb_table.ledger.stream_enabled && aws_dynamodb_table.ledger.stream_view_type == "NEW_IMAGE"
    error_message = "The ledger's stream is what exporters read."
  }

  assert {
    condition     = one(aws_dynamodb_table.chat_messages[0].global_secondary_index).projection_type == "KEYS_ONLY"
    error_message = "An index with more than keys costs more with each write."
  }
}

run "your_table_is_read_and_not_managed" {
  variables {
    adopt_chat_messages = true
  }

  assert {
    condition     = length(aws_dynamodb_table.chat_messages) == 0
    error_message = "A table of chat messages is made beside yours."
  }

  assert {
    condition     = output.chat_messages.index_arn == "arn:aws:dynamodb:eu-central-1:123456789012:table/chat-messages/index/MessageUuidIndex"
    error_message = "The output is not about your table."
  }
}

run "a_table_without_the_index_is_refused" {
  command = plan

  variables {
    adopt_chat_messages = true
  }

  override_data {
    target = data.aws_dynamodb_table.chat_messages
    values = { global_secondary_index = [] }
  }

  expect_failures = [data.aws_dynamodb_table.chat_messages]
}

run "a_table_with_other_keys_is_refused" {
  command = plan

  variables {
    adopt_chat_messages = true
  }

  override_data {
    target = data.aws_dynamodb_table.chat_messages
    values = { hash_key = "id", range_key = "" }
  }

  expect_failures = [data.aws_dynamodb_table.chat_messages]
}
