# Three routes. /chat is never open. Twilio can neither sign with IAM nor fetch a token: its two routes are public, and
# their functions refuse what does not carry Twilio's signature.

locals {
  # Twilio gives up after 15 s, API Gateway after 30.
  routes = {
    chat         = { key = "POST /chat", function = var.chat, timeout_ms = 29000 }
    sms_inbound  = { key = "POST /sms/inbound", function = var.sms_inbound, timeout_ms = 12000 }
    sms_callback = { key = "POST /sms/callback", function = var.sms_callback, timeout_ms = 12000 }
  }
}

resource "aws_apigatewayv2_api" "this" {
  name          = var.name
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_integration" "this" {
  for_each               = local.routes
  api_id                 = aws_apigatewayv2_api.this.id
  integration_type       = "AWS_PROXY"
  integration_method     = "POST"
  integration_uri        = each.value.function.invoke_arn
  payload_format_version = "2.0"
  timeout_milliseconds   = each.value.timeout_ms
}

resource "aws_apigatewayv2_authorizer" "chat" {
  count            = var.chat_jwt == null ? 0 : 1
  api_id           = aws_apigatewayv2_api.this.id
  name             = "${var.name}-chat"
  authorizer_type  = "JWT"
  identity_sources = ["$request.header.Authorization"]

  jwt_configuration {
    issuer   = var.chat_jwt.issuer
    audience = var.chat_jwt.audience
  }
}

resource "aws_apigatewayv2_route" "chat" {
  api_id             = aws_apigatewayv2_api.this.id
  route_key          = local.routes.chat.key
  target             = "integrations/${aws_apigatewayv2_integration.this["chat"].id}"
  authorization_type = var.chat_jwt == null ? "AWS_IAM" : "JWT"
  authorizer_id      = one(aws_apigatewayv2_authorizer.chat[*].id)
}

resource "aws_apigatewayv2_route" "sms" {
  #checkov:skip=CKV_AWS_309:Twilio has no AWS credentials; the function checks Twilio's signature before it reads the request.
  for_each           = { for key, route in local.routes : key => route if key != "chat" }
  api_id             = aws_apigatewayv2_api.this.id
  route_key          = each.value.key
  target             = "integrations/${aws_apigatewayv2_integration.this[each.key].id}"
  authorization_type = "NONE"
}

resource "aws_lambda_permission" "this" {
  for_each      = local.routes
  statement_id  = "api"
  action        = "lambda:InvokeFunction"
  function_name = each.value.function.name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.this.execution_arn}/*/${replace(each.value.key, " ", "")}"
}

resource "aws_apigatewayv2_stage" "this" {
  api_id      = aws_apigatewayv2_api.this.id
  name        = "$default"
  auto_deploy = true

  default_route_settings {
    throttling_rate_limit    = var.throttling.rate
    throttling_burst_limit   = var.throttling.burst
    detailed_metrics_enabled = true
  }

  # No address, no query (it names a message) and nothing of the caller's: enough to find the function's own log line.
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn

    format = jsonencode({
      request_id        = "$context.requestId"
      time              = "$context.requestTime"
      route             = "$context.routeKey"
      status            = "$context.status"
      latency_ms        = "$context.responseLatency"
      integration_error = "$context.integrationErrorMessage"
      authorizer_error  = "$context.authorizer.error"
    })
  }
}

resource "aws_cloudwatch_log_group" "access" {
  #checkov:skip=CKV_AWS_158:Encrypted by CloudWatch unless kms_key_arn names your key.
  #checkov:skip=CKV_AWS_338:The ledger is the record and is kept; a log is for finding faults, log_retention_days long.
  name              = "/aws/vendedlogs/${var.name}-access"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}
