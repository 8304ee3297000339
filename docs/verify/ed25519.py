"""Ed25519 signatures, verified in plain Python as RFC 8032 section 5.1.7 says: slow, short, nothing to install."""
import hashlib

P = 2**255 - 19                                            # the field
ORDER = 2**252 + 27742317777372353535851937790883648493    # of the base point
D = -121665 * pow(121666, -1, P) % P
SQRT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)


def point(data):
    """The point in extended coordinates (x, y, z, xy/z), section 5.1.3; None if there is none."""
    y, odd = int.from_bytes(data, "little") & (2**255 - 1), data[31] >> 7
    u, v = y * y - 1, D * y * y + 1
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P:
        x = x * SQRT_OF_MINUS_1 % P
    if y >= P or (v * x * x - u) % P or (x == 0 and odd):
        return None
    x = x if x & 1 == odd else P - x
    return x, y, 1, x * y % P


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0])
    c, d = 2 * p[3] * q[3] * D, 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(number, p):
    q = (0, 1, 1, 0)
    for bit in bin(number)[2:]:
        q = add(q, q)
        q = add(q, p) if bit == "1" else q
    return q


BASE = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def verify(key, message, signature):
    """Whether `signature` (64 bytes) over `message` is that of the public `key` (32 bytes)."""
    a, r, s = point(key), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or not a or not r or s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    left, right = times(s, BASE), add(r, times(k, a))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))
