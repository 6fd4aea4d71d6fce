output "arn" {
  description = "The function."
  value       = aws_lambda_function.this.arn
}

output "invoke_arn" {
  description = "How API Gateway calls it."
  value       = aws_lambda_function.this.invoke_arn
}

output "name" {
  description = "Its name, as metrics and permissions use it."
  value       = aws_lambda_function.this.function_name
}
