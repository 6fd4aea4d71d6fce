# Runs without an account: `terraform init && terraform test`, Terraform 1.7 or newer.

mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/made" }
  }

  mock_resource "aws_lambda_function" {
    defaults = {
      arn        = "arn:aws:lambda:eu-central-1:123456789012:function:made"
      invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1:123456789012:function:made/invocations"
    }
  }

  mock_resource "aws_sqs_queue" {
    defaults = {
      arn = "arn:aws:sqs:eu-central-1:123456789012:made"
      url = "https://sqs.eu-central-1.amazonaws.com/123456789012/made"
    }
  }

  mock_resource "aws_dynamodb_table" {
    defaults = {
      arn        = "arn:aws:dynamodb:eu-central-1:123456789012:table/made"
      stream_arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/made/stream/2026-11-22T00:00:00.000"
    }
  }

  mock_resource "aws_apigatewayv2_api" {
    defaults = {
      api_endpoint  = "https://abcdefghij.execute-api.eu-central-1.amazonaws.com"
      execution_arn = "arn:aws:execute-api:eu-central-1:123456789012:abcdefghij"
    }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:made" }
  }

  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

variables {
  # Any file: of a zip, only the hash is looked at.
  chat_zip           = "./versions.tf"
  callback_zip       = "./versions.tf"
  twilio_account_sid = "AC00000000000000000000000000000001"
  from_number        = "+14155550100"
  secrets = {
    twilio_auth_token = "/costtrace/twilio-auth-token"
    openai_api_key    = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:openai-AbC123"
    hash_key          = "/costtrace/hash-key"
  }
}

run "everything_new" {
  assert {
    condition     = output.ledger == "dynamodb://?region=eu-central-1&ledger=costtrace-ledger&messages=chat-messages"
    error_message = "The ledger's address is not what open_ledger takes."
  }

  assert {
    condition     = output.public_base_url == "https://abcdefghij.execute-api.eu-central-1.amazonaws.com"
    error_message = "Twilio's signature covers the address it calls; the functions must know it."
  }

  assert {
    condition = local.secret_variables["sms_callback"] == {
      TWILIO_AUTH_TOKEN  = "ssm:/costtrace/twilio-auth-token"
      COSTTRACE_HASH_KEY = "ssm:/costtrace/hash-key"
    }
    error_message = "The callback needs the Auth Token and the key of the hashes, by reference, and nothing else."
  }

  assert {
    condition     = local.secret_variables["chat"] == { OPENAI_API_KEY = "secretsmanager:arn:aws:secretsmanager:eu-central-1:123456789012:secret:openai-AbC123" }
    error_message = "The chat needs the model's key, by reference, and nothing else."
  }

  assert {
    condition = jsonencode(local.secret_statements["sms_callback"]) == jsonencode([{
      Sid    = "Parameters"
      Action = ["ssm:GetParameter"]
      Resource = [
        "arn:aws:ssm:eu-central-1:123456789012:parameter/costtrace/twilio-auth-token",
        "arn:aws:ssm:eu-central-1:123456789012:parameter/costtrace/hash-key",
      ]
    }])
    error_message = "The callback may read its own parameters, and no other."
  }

  assert {
    condition     = length(local.secret_statements["parked"]) == 0
    error_message = "Parked callbacks were verified before they were parked."
  }
}

run "your_own_domain" {
  command = plan

  variables {
    public_base_url = "https://sms.example.com"
  }

  assert {
    condition     = output.public_base_url == "https://sms.example.com" && local.variables.COSTTRACE_PUBLIC_BASE_URL == "https://sms.example.com"
    error_message = "Twilio signs the address it calls, which is yours."
  }
}

run "your_own_key_reaches_every_function" {
  variables {
    kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000001"
    other_kms_key_arns = ["arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000002"]
  }

  assert {
    condition = alltrue([
      for statements in values(local.permissions) : length([for statement in statements : statement if contains(["Encrypt", "Decrypt"], statement.Sid)]) == 2
    ])
    error_message = "A function cannot use a key that it needs."
  }
}

run "a_secret_instead_of_its_place_is_refused" {
  command = plan

  variables {
    secrets = {
      twilio_auth_token = "0123456789abcdef0123456789abcdef"
      openai_api_key    = "/costtrace/openai-api-key"
      hash_key          = "/costtrace/hash-key"
    }
  }

  expect_failures = [var.secrets]
}

run "a_secret_among_the_variables_is_refused" {
  command = plan

  variables {
    extra_variables = { OTEL_EXPORTER_OTLP_HEADERS = "authorization=..." }
  }

  expect_failures = [var.extra_variables]
}

run "a_zip_that_is_not_there_is_refused" {
  command = plan

  variables {
    callback_zip = "./nowhere.zip"
  }

  expect_failures = [var.callback_zip]
}

run "two_senders_are_refused" {
  command = plan

  variables {
    messaging_service_sid = "MG00000000000000000000000000000001"
  }

  expect_failures = [output.public_base_url]
}

run "posthog_gets_its_key" {
  command = plan

  variables {
    exporters = ["posthog"]
    secrets = {
      twilio_auth_token = "/costtrace/twilio-auth-token"
      openai_api_key    = "/costtrace/openai-api-key"
      hash_key          = "/costtrace/hash-key"
      posthog_api_key   = "/costtrace/posthog-api-key"
    }
  }

  assert {
    condition     = local.secret_variables["stream"].POSTHOG_API_KEY == "ssm:/costtrace/posthog-api-key"
    error_message = "The stream delivers to PostHog and has no token for it."
  }
}

run "a_key_that_nobody_needs_is_not_looked_up" {
  command = plan

  variables {
    secrets = {
      twilio_auth_token = "/costtrace/twilio-auth-token"
      openai_api_key    = "/costtrace/openai-api-key"
      hash_key          = "/costtrace/hash-key"
      posthog_api_key   = "/costtrace/posthog-api-key"
    }
  }

  assert {
    condition     = !contains(keys(local.secret_variables["stream"]), "POSTHOG_API_KEY")
    error_message = "A reference to a parameter that is not there would keep the function from starting."
  }
}

run "posthog_without_its_key_is_refused" {
  command = plan

  variables {
    exporters = ["posthog"]
  }

  expect_failures = [output.public_base_url]
}

run "an_address_that_twilio_would_sign_otherwise_is_refused" {
  command = plan

  variables {
    public_base_url = "https://sms.example.com/"
  }

  expect_failures = [var.public_base_url]
}

run "a_function_that_is_none_is_refused" {
  command = plan

  variables {
    reserved_concurrency = { webhook = 5 }
  }

  expect_failures = [var.reserved_concurrency]
}
