"""A row of a parquet shard as a sample's fields.

By the conventions of Hugging Face datasets a column is a string, binary, a media file
{bytes, path}, or (as they have no type for arrays of any shape) an array {data, dtype,
shape}. A column is null where the sample does not have the field.
"""
import json

import numpy as np

from dump import kind_of, of_array, of_bytes, of_file, of_json, of_text

KEY = "__key__"


def field(key, name, value, faults):
    if isinstance(value, dict):
        if value.keys() == {"bytes", "path"}:
            if value["path"] != f"{key}.{name}":
                faults.add(key, f"{name}: its path is {value['path']}")
            return of_bytes(value["bytes"])
        return of_array(np.frombuffer(value["data"], value["dtype"]).reshape(value["shape"]))
    if isinstance(value, bytes):
        return of_file(name, value)
    return of_json(json.loads(value)) if kind_of(name) == "json" else of_text(value)


def fields_of(row, faults):
    """(key, fields) of a row."""
    key = row[KEY]
    return key, {name: field(key, name, value, faults) for name, value in row.items() if name != KEY and value is not None}
