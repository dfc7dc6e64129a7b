//! Columns of a data frame as values.

use polars::prelude::*;

use super::table::Column;
use crate::record::Value;

/// Levels of lists and structs that are followed.
const DEEPEST: usize = 32;

/// All cells of a column. Fields of a struct that hold null are left out: a table has one set of fields for all its
/// rows, so a null says no more than that other rows have the field.
pub(super) fn values(series: &Series) -> Result<Vec<Value>, String> {
    nested(series, 0).map_err(|error| match error {
        Fault::Polars(error) => error.to_string(),
        Fault::Type(kind) => format!("has type {kind}, which cannot be read"),
        Fault::Deep => format!("has lists and structs more than {DEEPEST} levels deep"),
    })
}

/// The columns of a schema, with the first cells of those that are in the sample.
pub(super) fn columns(schema: &ArrowSchema, sample: &[Series]) -> Vec<Column> {
    let first = |name: &str| {
        let series = sample.iter().find(|series| series.name().as_str() == name)?;
        values(series).ok()?.into_iter().find(|cell| !cell.is_null())
    };
    let column = |(name, field): (&PlSmallStr, &ArrowField)| Column {
        name: name.to_string(),
        first: first(name),
        problem: problem(field.dtype(), 0),
    };
    schema.iter().map(column).collect()
}

/// Why a type cannot be read, in words. Polars panics over some types that it was built without, so they are found
/// here first.
pub(super) fn problem(kind: &ArrowDataType, depth: usize) -> Option<String> {
    use ArrowDataType as A;
    if depth > DEEPEST {
        return Some(format!("has lists and structs more than {DEEPEST} levels deep"));
    }
    match kind {
        A::Null | A::Boolean | A::Utf8 | A::LargeUtf8 | A::Utf8View | A::Float32 | A::Float64 => None,
        A::Int8 | A::Int16 | A::Int32 | A::Int64 | A::UInt8 | A::UInt16 | A::UInt32 | A::UInt64 => None,
        A::Date32 | A::Date64 | A::Timestamp(_, None) => None,
        A::Dictionary(_, values, _) if matches!(**values, A::Utf8 | A::LargeUtf8 | A::Utf8View) => None,
        A::List(item) | A::LargeList(item) => problem(item.dtype(), depth + 1),
        A::Struct(fields) => fields.iter().find_map(|field| problem(field.dtype(), depth + 1)),
        other => Some(format!("has type {other:?}, which cannot be read; write it as text, a number or a list")),
    }
}

enum Fault {
    Polars(PolarsError),
    Type(String),
    Deep,
}

impl From<PolarsError> for Fault {
    fn from(error: PolarsError) -> Self {
        Self::Polars(error)
    }
}

fn nested(series: &Series, depth: usize) -> Result<Vec<Value>, Fault> {
    if depth > DEEPEST {
        return Err(Fault::Deep);
    }
    let kind = series.dtype();
    match kind {
        DataType::Null => Ok(vec![Value::Null; series.len()]),
        DataType::Boolean => Ok(cells(series.bool()?.iter(), Value::Bool)),
        DataType::String => Ok(cells(series.str()?.iter(), Value::from)),
        DataType::UInt64 => {
            let whole = |value: u64| i64::try_from(value).map_or(Value::Large(value), Value::Int);
            Ok(cells(series.u64()?.iter(), whole))
        }
        DataType::List(_) => lists(series, depth),
        DataType::Struct(_) => structs(series, depth),
        _ if kind.is_integer() => Ok(cells(series.strict_cast(&DataType::Int64)?.i64()?.iter(), Value::Int)),
        _ if kind.is_float() => Ok(cells(series.strict_cast(&DataType::Float64)?.f64()?.iter(), Value::Float)),
        _ if kind.is_temporal() || kind.is_categorical() || kind.is_enum() => {
            Ok(cells(series.strict_cast(&DataType::String)?.str()?.iter(), Value::from))
        }
        other => Err(Fault::Type(other.to_string())),
    }
}

fn cells<T>(cells: impl Iterator<Item = Option<T>>, value: impl Fn(T) -> Value) -> Vec<Value> {
    cells.map(|cell| cell.map_or(Value::Null, &value)).collect()
}

fn lists(series: &Series, depth: usize) -> Result<Vec<Value>, Fault> {
    let lists = series.list()?;
    let mut found = Vec::with_capacity(lists.len());
    for array in lists.downcast_iter() {
        let one = ListChunked::with_chunk(PlSmallStr::EMPTY, array.clone());
        let offsets = array.offsets().as_slice();
        let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
        let inner = one.get_inner().cast(lists.inner_dtype())?.slice(first, (last - first) as usize);
        let mut items = nested(&inner, depth + 1)?.into_iter();
        for (at, ends) in offsets.windows(2).enumerate() {
            let list = items.by_ref().take((ends[1] - ends[0]) as usize).collect();
            let null = array.validity().is_some_and(|valid| !valid.get_bit(at));
            found.push(if null { Value::Null } else { Value::List(list) });
        }
    }
    Ok(found)
}

fn structs(series: &Series, depth: usize) -> Result<Vec<Value>, Fault> {
    let mut fields = Vec::new();
    for field in series.struct_()?.fields_as_series() {
        fields.push((field.name().to_string(), nested(&field, depth + 1)?.into_iter()));
    }
    let nulls = series.is_null();
    let row = |null: Option<bool>| {
        let entries = fields.iter_mut().filter_map(|(name, cells)| {
            let cell = cells.next().unwrap_or_default();
            (!cell.is_null()).then(|| (name.clone(), cell))
        });
        let entries: Vec<(String, Value)> = entries.collect();
        if null == Some(true) { Value::Null } else { Value::Object(entries) }
    };
    Ok(nulls.iter().map(row).collect())
}
