"""The page's JSON sibling below ``/api/v1``: the same ports for programs, described by an OpenAPI document."""
