"""Two S3 servers: that of the files, and that of repositories."""

#: Environment variables with the address of each; by default both are that of `AWS_ENDPOINT_URL`.
SOURCE_ENDPOINT = "VIRTUAL_TIFF_SOURCE_ENDPOINT"
REPOSITORY_ENDPOINT = "VIRTUAL_TIFF_REPOSITORY_ENDPOINT"
