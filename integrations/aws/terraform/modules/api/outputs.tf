output "id" {
  description = "The API, as metrics name it."
  value       = aws_apigatewayv2_api.this.id
}

output "endpoint" {
  description = "Address of the API, without a path."
  value       = aws_apigatewayv2_api.this.api_endpoint
}
