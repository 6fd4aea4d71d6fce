"""PostHog reports as code: four questions defined once, shown on a dashboard or in a terminal, and checked."""
