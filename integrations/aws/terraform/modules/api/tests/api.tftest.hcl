# Runs without an account: `terraform init && terraform test`, Terraform 1.7 or newer.

mock_provider "aws" {
  mock_resource "aws_apigatewayv2_api" {
    defaults = { execution_arn = "arn:aws:execute-api:eu-central-1:123456789012:abcdefghij" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:made" }
  }
}

variables {
  name               = "costtrace"
  chat               = { name = "costtrace-chat", invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/chat" }
  sms_inbound        = { name = "costtrace-sms-inbound", invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/inbound" }
  sms_callback       = { name = "costtrace-sms-callback", invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/callback" }
  chat_jwt           = null
  throttling         = { rate = 100, burst = 200 }
  log_retention_days = 30
  kms_key_arn        = null
}

run "chat_is_never_open" {
  assert {
    condition     = aws_apigatewayv2_route.chat.authorization_type == "AWS_IAM"
    error_message = "Without a token's issuer, callers of /chat must sign with IAM."
  }

  assert {
    condition     = toset([for route in aws_apigatewayv2_route.sms : route.route_key]) == toset(["POST /sms/inbound", "POST /sms/callback"])
    error_message = "Only Twilio's two routes are public."
  }

  assert {
    condition     = aws_lambda_permission.this["sms_callback"].source_arn == "arn:aws:execute-api:eu-central-1:123456789012:abcdefghij/*/POST/sms/callback"
    error_message = "A function may be called by its own route only."
  }
}

run "chat_with_tokens" {
  variables {
    chat_jwt = { issuer = "https://login.example.com/", audience = ["chat"] }
  }

  assert {
    condition     = aws_apigatewayv2_route.chat.authorization_type == "JWT" && aws_apigatewayv2_route.chat.authorizer_id == aws_apigatewayv2_authorizer.chat[0].id
    error_message = "The route does not ask the authorizer."
  }
}
