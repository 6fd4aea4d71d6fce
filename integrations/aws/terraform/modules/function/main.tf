# One function with its log and its role. The role may do what `statements` say, write its own log, and send its traces.

locals {
  own = [
    {
      Sid      = "Log"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["${aws_cloudwatch_log_group.this.arn}:*"]
    },
    {
      # X-Ray has no resources that a statement could name.
      Sid      = "Traces"
      Effect   = "Allow"
      Action   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
      Resource = ["*"]
    },
  ]
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_115:A reserve is yours to set (reserved_concurrency); a default one fails in a new account, whose limit is 10.
  #checkov:skip=CKV_AWS_116:Called by API Gateway, SQS and a stream, which do not use it; the one that is called asynchronously has it.
  #checkov:skip=CKV_AWS_117:It calls DynamoDB, SQS, Twilio and a model over TLS; a VPC would add a NAT gateway and protect nothing.
  #checkov:skip=CKV_AWS_173:The environment holds references to secrets, never secrets; kms_key_arn names your key where you want one.
  #checkov:skip=CKV_AWS_272:Code signing needs an S3 source and a signing profile; the zip is reproducible, and its hash is in the plan.
  function_name                  = var.name
  role                           = aws_iam_role.this.arn
  handler                        = var.handler
  runtime                        = "python3.12"
  architectures                  = ["arm64"]
  filename                       = var.zip
  source_code_hash               = filebase64sha256(var.zip)
  memory_size                    = var.memory_mb
  timeout                        = var.timeout_s
  reserved_concurrent_executions = var.reserved_concurrency
  kms_key_arn                    = var.kms_key_arn

  environment {
    variables = var.environment
  }

  tracing_config {
    mode = "Active"
  }

  dynamic "dead_letter_config" {
    for_each = var.dead_letter_arn == null ? [] : [var.dead_letter_arn]

    content {
      target_arn = dead_letter_config.value
    }
  }

  # Lambda would make a log group that is kept for ever, and refuses a dead letter queue the role cannot reach.
  depends_on = [aws_cloudwatch_log_group.this, aws_iam_role_policy.this]
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:Encrypted by CloudWatch unless kms_key_arn names your key.
  #checkov:skip=CKV_AWS_338:The ledger is the record and is kept; a log is for finding faults, log_retention_days long.
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "this" {
  name = var.name

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "may"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.own, [
      for statement in var.statements : { for key, value in merge(statement, { Effect = "Allow" }) : key => value if value != null }
    ])
  })
}
