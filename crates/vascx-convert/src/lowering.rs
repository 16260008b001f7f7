//! What operators of several programs become alike, whatever language they are written in.

use vascx_graph::{
    Arange, Arg, Binary, BinaryKind, Cast, Clamp, Constant, DType, Expand, GraphBuilder, Literal,
    MatMul, Meta, Op, Permute, Reshape, Slice, Squeeze, Unary, UnaryKind, Unsqueeze, Where,
};

/// What came of it, or why there is none.
type Outcome<T = Arg> = Result<T, String>;

/// Longest table of integers that is read into the graph.
const MAX_TABLE: usize = 1 << 22;

/// The node of an operation that gives a tensor.
pub(crate) fn node(b: &mut GraphBuilder, op: impl Into<Op>, arguments: Vec<Arg>) -> Outcome<usize> {
    match b.call(op, arguments)? {
        Arg::Node(node) => Ok(node),
        Arg::Literal(_) => Err("a number stands where a tensor is needed".into()),
    }
}

/// A tensor in other sizes.
pub(crate) fn reshaped(
    b: &mut GraphBuilder,
    x: Arg,
    sizes: impl IntoIterator<Item = Arg>,
) -> Outcome {
    b.call(Reshape, std::iter::once(x).chain(sizes).collect())
}

/// The part of a tensor between two places of an axis.
pub(crate) fn part(
    b: &mut GraphBuilder,
    x: impl Into<Arg>,
    axis: usize,
    [start, end]: [Arg; 2],
) -> Outcome {
    b.call(Slice { axis, step: 1 }, vec![x.into(), start, end])
}

/// One place of an axis, which stays.
pub(crate) fn place(b: &mut GraphBuilder, x: impl Into<Arg>, axis: usize, at: usize) -> Outcome {
    part(b, x, axis, [at, at + 1].map(|place| Arg::int(place as i64)))
}

/// The last two axes swapped.
pub(crate) fn transposed(b: &mut GraphBuilder, x: impl Into<Arg>) -> Outcome {
    let x = x.into();
    let rank = b.shape(x)?.len();
    let mut axes: Vec<usize> = (0..rank).collect();
    axes.swap(rank - 1, rank - 2);
    b.call(Permute(axes), vec![x])
}

/// The numbers from zero on.
pub(crate) fn counted(b: &mut GraphBuilder, dtype: DType, end: Arg) -> Outcome {
    b.call(Arange(dtype), vec![Arg::int(0), end, Arg::int(1)])
}

/// The product of numbers.
pub(crate) fn product(b: &mut GraphBuilder, numbers: &[Arg]) -> Outcome {
    let Some((&first, rest)) = numbers.split_first() else {
        return Ok(Arg::int(1));
    };
    rest.iter().try_fold(first, |product, &number| {
        b.call(Binary(BinaryKind::Mul), vec![product, number])
    })
}

/// An axis counted from the front.
pub(crate) fn axis(axis: i64, rank: usize) -> Outcome<usize> {
    let from_front = match axis {
        ..0 => axis.saturating_add(rank as i64),
        _ => axis,
    };
    let valid = usize::try_from(from_front).ok().filter(|&axis| axis < rank);
    valid.ok_or_else(|| format!("axis {axis} of {rank}"))
}

/// Axes counted from the front, in the order given.
pub(crate) fn axes(axes: &[i64], rank: usize) -> Outcome<Vec<usize>> {
    axes.iter().map(|&given| axis(given, rank)).collect()
}

/// A product of matrices or vectors.
pub(crate) fn matmul(b: &mut GraphBuilder, mut x: Arg, mut y: Arg) -> Outcome {
    let (row, column) = (b.shape(x)?.len() == 1, b.shape(y)?.len() == 1);
    if row {
        x = b.call(Unsqueeze(0), vec![x])?;
    }
    if column {
        y = b.call(Unsqueeze(1), vec![y])?;
    }
    let mut product = b.call(MatMul, vec![x, y])?;
    if column {
        let last = b.shape(product)?.len() - 1;
        product = b.call(Squeeze(vec![last]), vec![product])?;
    }
    if row {
        let last = b.shape(product)?.len() - if column { 1 } else { 2 };
        product = b.call(Squeeze(vec![last]), vec![product])?;
    }
    Ok(product)
}

/// Values between limits, where there are any.
pub(crate) fn clamped(b: &mut GraphBuilder, mut x: Arg, limits: [Option<Arg>; 2]) -> Outcome {
    let literal = |limit: Option<Arg>| match limit {
        None => Some(None),
        Some(Arg::Literal(literal)) => Some(Some(literal.as_f64())),
        Some(Arg::Node(_)) => None,
    };
    let tensor = matches!(b.argument(x), Meta::Tensor { .. });
    if let (Some(min), Some(max), true) = (literal(limits[0]), literal(limits[1]), tensor) {
        return b.call(Clamp { min, max }, vec![x]);
    }
    for (limit, kind) in limits.into_iter().zip([BinaryKind::Max, BinaryKind::Min]) {
        if let Some(limit) = limit {
            x = b.call(Binary(kind), vec![x, limit])?;
        }
    }
    Ok(x)
}

/// `x` where it is positive, `slope · x` elsewhere.
pub(crate) fn prelu(b: &mut GraphBuilder, x: Arg, slope: Arg) -> Outcome {
    let negative = b.call(Binary(BinaryKind::Mul), vec![x, slope])?;
    let positive = b.call(Binary(BinaryKind::Greater), vec![x, Arg::int(0)])?;
    b.call(Where, vec![positive, x, negative])
}

/// A tensor several times along each axis, which becomes `[count, size]` and is flattened again.
pub(crate) fn repeated(b: &mut GraphBuilder, mut x: Arg, counts: &[Arg]) -> Outcome {
    let sizes = b.sizes(x)?;
    if counts.len() != sizes.len() {
        return Err(format!("{} counts for {} axes", counts.len(), sizes.len()));
    }
    for (axis, (&count, &size)) in counts.iter().zip(&sizes).enumerate() {
        if b.argument(count) == Meta::Number(Literal::Int(1)) {
            continue;
        }
        x = b.call(Unsqueeze(axis), vec![x])?;
        let mut spread = vec![Arg::int(-1); 1 + b.shape(x)?.len()];
        spread[0] = x;
        spread[1 + axis] = count;
        x = b.call(Expand, spread)?;
        let mut flat = b.sizes(x)?;
        flat.splice(axis..axis + 2, [product(b, &[count, size])?]);
        x = reshaped(b, x, flat)?;
    }
    Ok(x)
}

/// Channels in groups of `factor`² become the pixels of a map `factor` times as high and wide. The
/// groups are neighbouring channels, or those that are as far apart as there will be channels.
pub(crate) fn pixels_of_channels(
    b: &mut GraphBuilder,
    x: Arg,
    factor: i64,
    neighbouring: bool,
) -> Outcome {
    let factor = Arg::int(factor.max(1));
    let [n, c, h, w] = b.sizes(x)?[..] else {
        return Err("shuffles a tensor of other than four axes".into());
    };
    let square = product(b, &[factor, factor])?;
    let channels = b.call(Binary(BinaryKind::FloorDiv), vec![c, square])?;
    let (high, wide) = (product(b, &[h, factor])?, product(b, &[w, factor])?);
    let (split, order) = if neighbouring {
        ([n, channels, factor, factor, h, w], [0, 1, 4, 2, 5, 3])
    } else {
        ([n, factor, factor, channels, h, w], [0, 3, 4, 1, 5, 2])
    };
    let x = reshaped(b, x, split)?;
    let x = b.call(Permute(order.to_vec()), vec![x])?;
    reshaped(b, x, [n, channels, high, wide])
}

/// Height and width of a map times factors, rounded down.
pub(crate) fn scaled_sides(b: &mut GraphBuilder, map: Arg, factors: [f64; 2]) -> Outcome<[Arg; 2]> {
    let mut scaled = |axis: usize| {
        let size = b.size(map, 2 + axis)?;
        let factor = Arg::float(factors[axis]);
        let size = b.call(Binary(BinaryKind::Mul), vec![size, factor])?;
        let size = b.call(Unary(UnaryKind::Floor), vec![size])?;
        match b.dtype(size) {
            DType::Int => Ok(size),
            _ => b.call(Cast(DType::Int), vec![size]),
        }
    };
    Ok([scaled(0)?, scaled(1)?])
}

/// A tensor of integers or truth values as a part of the graph; `read` gives its values.
pub(crate) fn table(
    b: &mut GraphBuilder,
    name: &str,
    is_bool: bool,
    shape: &[usize],
    read: impl FnOnce() -> Outcome<Vec<i64>>,
) -> Outcome<usize> {
    let elements: usize = shape.iter().product();
    if elements > MAX_TABLE {
        return Err(format!("`{name}` is a table of {elements} integers"));
    }
    let table = Constant {
        dtype: if is_bool { DType::Bool } else { DType::Int },
        shape: shape.to_vec(),
        values: read()?,
    };
    node(b, table, Vec::new())
}
