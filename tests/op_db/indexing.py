"""Index expressions, index_select and its kin, masks, and views written back."""

import numpy as np

from . import EVERY, INTEGERS, NUMERIC, WITH_COMPLEX, Op, Sample

ANY = (*EVERY, "float16", "bfloat16")
ACCUMULATED = ("float16", *INTEGERS, *WITH_COMPLEX)


def getitem_samples(make):
    rows, pair = np.array([2, 0, 2, -1]), np.array([[0], [1]])
    mask = np.array([True, False, True])
    keys = [
        (1,),
        (-1, slice(None), 2),
        (slice(0, 3, 2), None, ..., 1),
        (rows,),
        (slice(None), np.array([0, 1])),
        (rows, np.array([0, 1, 1, 0])),
        (pair, slice(None), np.array([3, 0, 2])),
        (np.array([0, 1]), np.array([0, 1]), slice(1, 3)),
        (mask,),
        (mask, 1),
        (1, np.array([1, 0])),
        (..., np.array([0, 3])),
        (np.array(1), np.array([0, 1])),
        (np.zeros(0, np.int64),),
        (np.array([[True, False], [False, False], [True, True]]),),
        (),
    ]
    return [
        *(Sample(make(3, 2, 4), key) for key in keys),
        Sample(make(3, 4), make.bools(3, 4)),
        Sample(make(), ()),
        Sample(make(), None),
        Sample(make(0, 3), (slice(None), np.array([1]))),
    ]


def getitem_errors(make):
    x = make(3, 4)
    return [
        (Sample(x, 3), IndexError, "index 3 is out of bounds for dimension 0 with size 3"),
        (Sample(x, (0, -5)), IndexError, "index -5 is out of bounds for dimension 1 with size 4"),
        (Sample(x, (0, 0, 0)), IndexError, "too many indices for tensor of dimension 2"),
        (Sample(x, np.array([0, 3])), IndexError, "index 3 is out of bounds for dimension 0 with size 3"),
        (Sample(x, np.array([-4])), IndexError, "index -4 is out of bounds for dimension 0 with size 3"),
        (Sample(x, (slice(None), np.array([4]))), IndexError, "index 4 is out of bounds"),
        (Sample(x, (np.array([0, 1]), np.array([0, 1, 2]))), IndexError, "could not be broadcast"),
        (Sample(x, np.array([True])), IndexError, r"The shape of the mask \[1\] at index 0"),
        (Sample(x, np.array([0.5])), IndexError, "tensors used as indices must be"),
        (Sample(x, 1.5), IndexError, "only integers, slices"),
        (Sample(x, slice(None, None, -1)), ValueError, "step must be greater than zero"),
        (Sample(make(), 0), IndexError, "invalid index of a 0-dim tensor"),
    ]


def index_put_samples(make):
    rows, cols = np.array([2, 0]), np.array([1, 1])
    return [
        Sample(make(3, 4), (rows,), make(2, 4)),
        Sample(make(3, 4), (rows,), make()),
        Sample(make(3, 4), (rows, cols), make(2)),
        Sample(make(3, 4), (make.bools(3, 4),), make(1)),
        Sample(make(3, 2), (np.array([1, 1, 1]),), make(3, 2), True),
        Sample(make(3, 2), (np.array([1, 0, 1]), np.array([0, 1, 0])), make(1), accumulate=True),
        Sample(make(3, 2), (np.zeros(0, np.int64),), make(0, 2)),
    ]


def index_put(x, indices, values, accumulate=False):
    out = x.copy()
    key = tuple(slice(None) if i is None else i for i in indices)
    if accumulate:
        np.add.at(out, key, values)
    else:
        out[key] = values
    return out


def vector_samples(*more_of):
    """(x, dim, index, *more_of(make, x, dim, index)) with the index in and out of order, empty and 0-d."""

    def samples(make):
        made = []
        for shape, dim, index in (
            ((5,), 0, [3, 0]),
            ((3, 4), 1, [2, 0, 3]),
            ((3, 4), -2, [1]),
            ((2, 3, 4), 1, [2, 1]),
            ((3, 4), 0, []),
            ((0, 3), 1, [0, 2]),
        ):
            x, index = make(*shape), np.array(index, np.int64)
            made.append(Sample(x, dim, index, *(fn(make, x, dim, index) for fn in more_of)))
        x = make()
        made.append(Sample(x, 0, np.array([0]), *(fn(make, x, 0, np.zeros(1, np.int64)) for fn in more_of)))
        return made

    return samples


def part(make, x, dim, index):
    """A source of the size of x with one part for each index."""
    if not x.ndim:
        return make()
    shape = list(x.shape)
    shape[dim] = index.size
    return make(*shape)


def select(x, dim, index):
    return np.take(x, index, dim) if x.ndim else x


def key_of(x, dim, index):
    return (slice(None),) * (dim % x.ndim) + (index,)


def index_add(x, dim, index, source, *, alpha=1):
    if not x.ndim:
        return x + alpha * source
    out = x.copy()
    np.add.at(out, key_of(x, dim, index), alpha * source)
    return out


def index_copy(x, dim, index, source):
    if not x.ndim:
        return source
    out = x.copy()
    out[key_of(x, dim, index)] = source
    return out


def index_fill(x, dim, index, value):
    if not x.ndim:
        return np.full_like(x, value)
    out = x.copy()
    out[key_of(x, dim, index)] = value
    return out


def repeated_samples(make):
    """index_add where parts meet."""
    return [
        *vector_samples(part)(make),
        Sample(make(3, 4), 0, np.array([1, 1, 2, 1]), make(4, 4)),
        Sample(make(3, 4), 1, np.array([3, 3]), make(3, 2), alpha=2),
    ]


def vector_errors(outside, *more_of, matrix=IndexError):
    def errors(make):
        x = make(3, 4)
        extra = [fn(make, x, 0, np.array([0])) for fn in more_of]
        return [
            (Sample(x, 0, np.array([3]), *extra), outside, "index"),
            (Sample(x, 2, np.array([0]), *extra), IndexError, "Dimension out of range"),
            (Sample(x, 0, np.array([[0]]), *extra), matrix, "Index"),
        ]

    return errors


def take_samples(make):
    return [
        Sample(make(3, 4), np.array([[0, 11], [-1, 5]])),
        Sample(make(5), np.array([4, 4])),
        Sample(make(3), np.zeros(0, np.int64)),
        Sample(make(2, 2), np.array(3)),
        Sample(make(), np.array([0, 0])),
    ]


def put_samples(make):
    return [
        Sample(make(3, 4), np.array([[0, 11], [-2, 5]]), make(2, 2)),
        Sample(make(5), np.array([4, 4]), make(2), accumulate=True),
        Sample(make(3), np.zeros(0, np.int64), make(0)),
    ]


def put(x, index, source, accumulate=False):
    out = x.copy().reshape(-1)
    if accumulate:
        np.add.at(out, index.reshape(-1), source.reshape(-1))
    else:
        out[index.reshape(-1)] = source.reshape(-1)
    return out.reshape(x.shape)


def mask_samples(make):
    return [
        (make(3, 4), make.bools(3, 4)),
        (make(3, 4), make.bools(4)),
        (make(2, 3, 4), make.bools(3, 1)),
        (make(), np.array(True)),
        (make(0, 3), make.bools(0, 3)),
        (make(4), np.zeros(4, np.bool_)),
    ]


def masked_fill(x, mask, value):
    return np.where(mask, np.asarray(value, x.dtype), x)


def masked_fill_samples(make):
    return [
        *(Sample(x, m, 1) for x, m in mask_samples(make)),
        Sample(make(3, 4), make.bools(3, 4), make()),
        Sample(make(4), make.bools(3, 4), 0),
    ]


def masked_select_samples(make):
    return [*(Sample(x, m) for x, m in mask_samples(make)), Sample(make(4), make.bools(3, 4))]


def masked_select(x, mask):
    x, mask = np.broadcast_arrays(x, mask)
    return x[mask]


def masked_scatter(x, mask, source):
    out = x.copy()
    mask = np.broadcast_to(mask, x.shape)
    out[mask] = source.reshape(-1)[: mask.sum()]
    return out


def written(view):
    def write(x, src, *args, **kwargs):
        out = x.copy()
        view(out, *args, **kwargs)[...] = src
        return out

    return write


def numpy_select(x, dim, index):
    return np.moveaxis(x, dim, 0)[index, ...]


def numpy_slice(x, dim=0, start=None, end=None, step=1):
    return np.moveaxis(np.moveaxis(x, dim, 0)[start:end:step], 0, dim)


def numpy_diagonal(x, offset=0, dim1=0, dim2=1):
    view = np.diagonal(x, offset, dim1, dim2)
    view.flags.writeable = True
    return view


def numpy_as_strided(x, size, stride, storage_offset=0):
    flat = x.reshape(-1)[storage_offset or 0 :]
    return np.lib.stride_tricks.as_strided(flat, size, [s * x.itemsize for s in stride])


SCATTERED = {"dtypes": ANY}

OPS = [
    Op(
        "Tensor.__getitem__",
        getitem_samples,
        lambda x, key: x[key],
        ANY,
        errors=getitem_errors,
        covers=("index", "index_backward", "select_backward", "slice_backward"),
    ),
    Op("index_put", index_put_samples, index_put, ACCUMULATED, covers=("put_at",)),
    Op(
        "index_select",
        vector_samples(),
        select,
        ANY,
        errors=vector_errors(IndexError),
        covers=("index_select_backward",),
    ),
    Op("index_add", repeated_samples, index_add, ACCUMULATED, errors=vector_errors(RuntimeError, part)),
    Op("index_copy", vector_samples(part), index_copy, ANY, errors=vector_errors(IndexError, part)),
    Op(
        "index_fill",
        vector_samples(lambda *_: 1),
        index_fill,
        ANY,
        errors=vector_errors(IndexError, lambda *_: 1, matrix=RuntimeError),
    ),
    Op("take", take_samples, lambda x, i: x.reshape(-1)[i], ANY),
    Op("put", put_samples, put, ACCUMULATED),
    Op("masked_fill", masked_fill_samples, masked_fill, ANY),
    Op("masked_select", masked_select_samples, masked_select, ANY),
    Op(
        "masked_scatter",
        lambda make: [Sample(x, m, make(x.size + 1)) for x, m in mask_samples(make)],
        masked_scatter,
        ANY,
    ),
    Op(
        "nonzero",
        lambda make: [Sample(make(3, 4, low=-1, high=2)), Sample(make(5)), Sample(make()), Sample(make(0, 2))],
        lambda x: np.argwhere(x),
        ANY,
        out="int64",
        gradcheck=False,
        skip={"test_values": "nonzero of a 0-d tensor has no numpy form"},
    ),
    Op("argwhere", lambda make: [Sample(make(3, 4))], np.argwhere, NUMERIC, out="int64", gradcheck=False),
    Op(
        "select_scatter",
        lambda make: [Sample(make(2, 3, 4), make(2, 4), 1, -1), Sample(make(3), make(), 0, 1)],
        written(numpy_select),
        **SCATTERED,
    ),
    Op(
        "slice_scatter",
        lambda make: [
            Sample(make(2, 6), make(2, 2), 1, 1, 5, 2),
            Sample(make(4), make(2), 0, -2),
            Sample(make(3, 2), make(0, 2), 0, 2, 2),
        ],
        written(numpy_slice),
        **SCATTERED,
    ),
    Op(
        "diagonal_scatter",
        lambda make: [Sample(make(3, 4), make(3)), Sample(make(2, 3, 3), make(2, 2), 1, 1, 2)],
        written(numpy_diagonal),
        covers=("diagonal_backward",),
        **SCATTERED,
    ),
    Op(
        "as_strided_scatter",
        lambda make: [Sample(make(3, 4), make(2, 2), (2, 2), (4, 1), 1)],
        written(numpy_as_strided),
        strided=False,
        expanded=False,
        covers=("as_strided_scatter_add",),
        skip={"compare": "torch 2.13 gives input a gradient of zeros everywhere"},
        **SCATTERED,
    ),
]
