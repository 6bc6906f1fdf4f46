"""What all models of the API share."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """Python names here, camelCase on the wire.

    Unknown fields are ignored on reading: an object written by a newer operator must stay readable by an older one
    (kiali #4030). The API server already prunes and reports what the CRD does not know.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)
