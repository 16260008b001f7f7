"""Translates a module of PTX to C, for kernel.h, and compiles it: `translate.py MODULE.ptx LIBRARY.so`.

As much of PTX as NVRTC makes of CubeCL's kernels; other instructions are refused, by name and with an
exit code of their own, but not every rare modifier is. Every virtual register becomes a variable, every
label a label, every instruction a statement.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

C_TYPES = {"pred": "uint8_t", "f16": "f16", "bf16": "bf16", "f32": "float", "f64": "double",
           "f16x2": "uint32_t", "bf16x2": "uint32_t"}
C_TYPES |= {f"{kind}{bits}": f"{'int' if kind == 's' else 'uint'}{bits}_t"
            for kind in "sub" for bits in (8, 16, 32, 64)}
COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
ROUNDED = {"rni": "nearbyint", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}
FUNCTIONS = {"sqrt": "sqrt", "rsqrt": "1 / sqrt", "rcp": "1 / ", "ex2": "exp2", "lg2": "log2", "sin": "sin",
             "cos": "cos", "tanh": "tanh"}
ELEMENTS = {"f16": "F16", "bf16": "BF16", "f32": "F32", "tf32": "TF32"}
IGNORED = {"fence", "membar", "nanosleep", "prefetch"}
SPECIAL = {f"%{name}.{axis}": f"t->{field}[{index}]"
           for name, field in [("tid", "thread"), ("ctaid", "block"), ("ntid", "launch->block"), ("nctaid", "launch->grid")]
           for index, axis in enumerate("xyz")} | {"%laneid": "t->lane", "WARP_SZ": "32"}
NO_STATEMENT = r"\s*\.(loc|file|pragma|maxntid|minnctapersm|maxnreg|reqntid|version|target|address_size)\b"
# The exit code that driver.c knows.
REFUSED = 3


class Refused(Exception):
    pass


def size(kind: str) -> int:
    if kind.endswith("x2"):
        return 4
    return 1 if kind == "pred" else int(re.search(r"\d+", kind)[0]) // 8


def is_float(kind: str) -> bool:
    return kind in ("f16", "bf16", "f32", "f64")


def name(text: str) -> str:
    return re.sub(r"\W", "_", text)


def parts(text: str) -> list[str]:
    """Operands between commas outside brackets."""
    return [part.strip() for part in re.split(r",(?![^{\[]*[}\]])", text) if part.strip()]


def listed(operand: str) -> list[str]:
    return [part.strip() for part in operand.strip("{} ").split(",")]


def space_of(modifiers: list[str]) -> str:
    spaces = ("global", "shared", "local", "param", "const")
    return next((m.split("::")[0] for m in modifiers if m.split("::")[0] in spaces), "generic")


class Kernel:
    """One kernel of a module."""

    def __init__(self, title: str, parameters: str, body: str, module: "Module"):
        self.title, self.module = title, module
        self.registers, self.local, self.parameters = {}, set(), {}
        self.statements, self.together = [], False
        offset = 0
        for align, kind, label, count in re.findall(
                r"\.param\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+(\w+)(?:\[(\d+)\])?", parameters):
            step = int(align or size(kind))
            offset = -(-offset // step) * step
            self.parameters[label] = (offset, size(kind) * int(count or 1))
            offset += self.parameters[label][1]
        self.translate(body)

    def translate(self, body: str) -> None:
        # Statements end at semicolons, labels at colons; braces that begin one are blocks of their own.
        token = re.compile(r"\s*(?:([{}])|([$%\w]+)\s*:(?!:)|((?:\{[^}]*\}|[^;{}])+);)")
        at = 0
        while body[at:].strip():
            found = token.match(body, at)
            if not found:
                raise Refused(body[at:at + 60].strip())
            brace, label, statement = found.groups()
            at = found.end()
            self.statements.append(brace or (f"{name(label)}: ;" if label else self.statement(statement.strip())))

    def statement(self, text: str) -> str:
        if declared := re.fullmatch(r"\.reg\s*\.(\w+)\s+(.*)", text, re.S):
            return self.declare(*declared.groups())
        if local := re.fullmatch(r"\.local\s+\.align\s+\d+\s+\.b8\s+(\w+)\[(\d+)\]", text):
            self.local.add(local[1])
            return f"uint8_t {local[1]}[{local[2]}] __attribute__((aligned(16)));"
        if shared := re.fullmatch(r"\.shared\s+\.align\s+(\d+)\s+\.b8\s+(\w+)\[(\d+)\]", text):
            self.module.add_shared(shared[2], int(shared[1]), int(shared[3]))
            return ";"
        condition = ""
        if guard := re.match(r"@(!?)(%?\w+)\s+", text):
            condition, text = f"if ({guard[1]}{name(guard[2])}) ", text[guard.end():]
        instruction, operands = re.fullmatch(r"([\w.:]+)\s*(.*)", text, re.S).groups()
        operation, *modifiers = instruction.split(".")
        if operation in IGNORED:
            return ";"
        method = getattr(self, f"op_{operation}", None) or (self.op_function if operation in FUNCTIONS else None)
        if not method:
            raise Refused(instruction)
        try:
            return f"{condition}{{ {method(operation, modifiers, parts(operands))} }}"
        except (KeyError, ValueError, StopIteration) as error:
            raise Refused(f"{instruction} {operands}") from error

    def declare(self, kind: str, names: str) -> str:
        several = re.fullmatch(r"(%?\w+)<(\d+)>", names.strip())
        labels = [f"{several[1]}{i}" for i in range(int(several[2]))] if several else [n.strip() for n in names.split(",")]
        self.registers |= dict.fromkeys(labels, kind)
        return "".join(f"{C_TYPES[kind]} {name(label)} = {{0}}; " for label in labels)

    # Operands

    def get(self, operand: str, kind: str) -> str:
        """An operand's value as a kind."""
        c_type = C_TYPES[kind]
        if bits := re.fullmatch(r"0[fFdD]([0-9a-fA-F]{8,16})", operand):
            return f"AS({c_type}, uint{4 * len(bits[1])}_t, 0x{bits[1]}ull)"
        if re.fullmatch(r"-?(0[xX][0-9a-fA-F]+|\d+)U?", operand):
            number = operand.rstrip("U")
            return f"AS({c_type}, uint{8 * size(kind)}_t, {number})" if is_float(kind) else f"(({c_type}){number}ll)"
        if operand in SPECIAL:
            return f"(({c_type}){SPECIAL[operand]})"
        if operand.startswith("!"):
            return f"(!{self.get(operand[1:], kind)})"
        if operand in self.registers:
            return self.cast(name(operand), self.registers[operand], kind)
        if operand in self.local or operand in self.module.globals:
            return f"(({c_type})(uintptr_t){name(operand)})"
        if operand in self.parameters:
            return f"(({c_type})(uintptr_t)(t->launch->arguments + {self.parameters[operand][0]}))"
        if operand in self.module.shared:
            return f"(({c_type}){self.module.shared[operand]})"
        if operand in self.module.dynamic_shared:
            return f"(({c_type})t->launch->named_shared)"
        raise KeyError(operand)

    @staticmethod
    def cast(value: str, held: str, wanted: str) -> str:
        """Registers of one size are reinterpreted; of a wider one, the lower bits are taken."""
        a, b = C_TYPES[held], C_TYPES[wanted]
        if a == b or "pred" in (held, wanted):
            return value
        if (is_float(held) or is_float(wanted)) and size(held) == size(wanted):
            return f"AS({b}, {a}, {value})"
        if is_float(held) or is_float(wanted):
            raise KeyError(f"{held} as {wanted}")
        return f"(({b}){value})"

    def set(self, operand: str, kind: str, value: str) -> str:
        if operand == "_":
            return f"(void)({value});"
        held = self.registers[operand]
        if held == "pred":
            return f"{name(operand)} = ({value}) != 0;"
        return f"{name(operand)} = {self.cast(f'(({C_TYPES[kind]})({value}))', kind, held)};"

    def set_all(self, operand: str, kind: str, array: str) -> str:
        return " ".join(self.set(register, kind, f"{array}[{i}]") for i, register in enumerate(listed(operand)))

    def array(self, operand: str, kind: str) -> str:
        return "{" + ", ".join(self.get(register, kind) for register in listed(operand)) + "}"

    def address(self, operand: str, space: str) -> str:
        base, offset = re.fullmatch(r"\[\s*([^+\]\s]+)\s*(?:\+\s*(-?\w+))?\s*\]", operand).groups()
        if space == "shared":
            return f"(t->shared + (uint32_t)({self.get(base, 'u32')} + {offset or 0}))"
        return f"((uint8_t *)(uintptr_t)({self.get(base, 'u64')} + {offset or 0}))"

    # Memory

    def op_ld(self, _, modifiers, operands):
        kind, at = modifiers[-1], self.address(operands[1], space_of(modifiers))
        values = [self.set(r, kind, f"LOAD({C_TYPES[kind]}, at + {i * size(kind)})") for i, r in enumerate(listed(operands[0]))]
        return f"const uint8_t *at = {at}; {' '.join(values)}"

    def op_st(self, _, modifiers, operands):
        kind, at = modifiers[-1], self.address(operands[0], space_of(modifiers))
        values = [f"STORE({C_TYPES[kind]}, at + {i * size(kind)}, {self.get(r, kind)});" for i, r in enumerate(listed(operands[1]))]
        return f"uint8_t *at = {at}; {' '.join(values)}"

    def op_cvta(self, _, modifiers, operands):
        shift = "(uint64_t)(uintptr_t)t->shared" if "shared" in modifiers else "0"
        sign = "-" if "to" in modifiers else "+"
        return self.set(operands[0], "u64", f"{self.get(operands[1], 'u64')} {sign} {shift}")

    def op_mov(self, _, modifiers, operands):
        to, source = operands
        kind = f"b{8 * size(modifiers[-1])}"
        if to.startswith("{"):
            pieces = listed(to)
            bits = 8 * size(kind) // len(pieces)
            return f"uint64_t whole = {self.get(source, kind)}; " + " ".join(
                self.set(piece, f"b{bits}", f"whole >> {i * bits}") for i, piece in enumerate(pieces))
        if source.startswith("{"):
            pieces = listed(source)
            bits = 8 * size(kind) // len(pieces)
            return self.set(to, kind, " | ".join(
                f"(uint64_t){self.get(piece, f'b{bits}')} << {i * bits}" for i, piece in enumerate(pieces)))
        return self.set(to, modifiers[-1], self.get(source, modifiers[-1]))

    def op_cp(self, _, modifiers, operands):
        what = ".".join(modifiers)
        if what.startswith("async.mbarrier.arrive"):
            at = self.address(operands[0], "shared")
            return f"arrive_with_copies(t, (Barrier *){at}, {int('noinc' in modifiers)});"
        if what == "async.commit_group":
            return "commit_copies(t);"
        if what == "async.wait_group":
            return f"wait_for_copies(t, {operands[0]});"
        if what == "async.wait_all":
            return "wait_for_copies(t, -1);"
        if modifiers[:1] != ["async"] or "bulk" in modifiers:
            raise KeyError(what)
        to, source = self.address(operands[0], "shared"), self.address(operands[1], "global")
        copied = self.get(operands[3] if len(operands) > 3 else operands[2], "u32")
        return f"copy_later(t, {to}, {source}, {operands[2]}, {copied});"

    # Control

    def op_bra(self, _, __, operands):
        return f"goto {name(operands[0])};"

    def op_ret(self, *_):
        return "return;"

    op_exit = op_ret

    def op_bar(self, _, modifiers, __):
        if modifiers[0] == "warp":
            return self.exchange("BFLY", ["_", "0", "0", "31"])
        self.together = True
        return "wait_for_block(t);"

    def op_mbarrier(self, _, modifiers, operands):
        self.together = True
        if modifiers[0] == "init":
            return f"barrier_init((Barrier *){self.address(operands[0], 'shared')}, {self.get(operands[1], 'u32')});"
        barrier = f"(Barrier *){self.address(operands[1], 'shared')}"
        if modifiers[0] == "arrive" and "expect_tx" not in modifiers:
            count = self.get(operands[2], "u32") if len(operands) > 2 else "1"
            return self.set(operands[0], "b64", f"barrier_arrive({barrier}, {count})")
        if modifiers[0] in ("try_wait", "test_wait"):
            parity = "parity" in modifiers
            token = self.get(operands[2], "b32" if parity else "b64")
            return self.set(operands[0], "pred", f"barrier_passed(t, {barrier}, {token}, {int(parity)})")
        raise KeyError(modifiers[0])

    # Comparisons and bits

    def op_setp(self, _, modifiers, operands):
        (comparison, *combine), kind = modifiers[:-1], modifiers[-1]
        a, b = self.get(operands[1], kind), self.get(operands[2], kind)
        combine = [c for c in combine if c in ("and", "or", "xor")]
        if is_float(kind):
            a, b = f"wide_{kind}({a})", f"wide_{kind}({b})"
            unordered = comparison.endswith("u") and comparison[:-1] in COMPARISONS
            sign = COMPARISONS[comparison.removesuffix("u") if unordered else comparison]
            nan = f"(isnan({a}) || isnan({b}))"
            value = f"({nan} || {a} {sign} {b})" if unordered else f"(!{nan} && {a} {sign} {b})"
        else:
            value = f"({a} {COMPARISONS[comparison]} {b})"
        if combine:
            sign = {"and": "&", "or": "|", "xor": "^"}[combine[0]]
            value = f"({value} {sign} {self.get(operands[3], 'pred')})"
        return self.set(operands[0], "pred", value)

    def op_set(self, _, modifiers, operands):
        comparison, kind, _ = modifiers
        return self.halves(kind, operands, lambda a, b: f"({a} {COMPARISONS[comparison]} {b})")

    def op_selp(self, _, modifiers, operands):
        kind = modifiers[-1]
        a, b, condition = self.get(operands[1], kind), self.get(operands[2], kind), self.get(operands[3], "pred")
        return self.set(operands[0], kind, f"{condition} ? {a} : {b}")

    def op_and(self, operation, modifiers, operands):
        sign, kind = {"and": "&", "or": "|", "xor": "^"}[operation], modifiers[-1]
        return self.set(operands[0], kind, f"{self.get(operands[1], kind)} {sign} {self.get(operands[2], kind)}")

    op_or = op_xor = op_and

    def op_not(self, _, modifiers, operands):
        kind = modifiers[-1]
        return self.set(operands[0], kind, f"{'!' if kind == 'pred' else '~'}{self.get(operands[1], kind)}")

    def op_shl(self, operation, modifiers, operands):
        kind, way = modifiers[-1], {"shl": "LEFT", "shr": "RIGHT"}[operation]
        value = f"SHIFT_{way}({C_TYPES[kind]}, {self.get(operands[1], kind)}, {self.get(operands[2], 'u32')})"
        return self.set(operands[0], kind, value)

    op_shr = op_shl

    def op_bfi(self, _, __, operands):
        return self.set(operands[0], "b32", f"insert_bits({', '.join(self.get(o, 'b32') for o in operands[1:])})")

    def op_prmt(self, _, __, operands):
        return self.set(operands[0], "b32", f"permute_bytes({', '.join(self.get(o, 'b32') for o in operands[1:])})")

    # Arithmetic

    def op_add(self, operation, modifiers, operands):
        kind, values = modifiers[-1], operands[1:]
        if kind.endswith("x2"):
            return self.halves(kind, operands, lambda *halves: self.arithmetic(operation, modifiers, "f32", halves))
        if is_float(kind):
            wide = [f"wide_{kind}({self.get(value, kind)})" for value in values]
            return self.set(operands[0], kind, f"narrow_{kind}({self.arithmetic(operation, modifiers, kind, wide)})")
        wide = f"{kind[0]}{16 * size(kind)}"
        if "wide" in modifiers:
            last = [self.get(values[2], wide)] if operation == "mad" else []
            factors = [f"(({C_TYPES[wide]}){self.get(value, kind)})" for value in values[:2]]
            return self.set(operands[0], wide, self.arithmetic(operation, [], wide, factors + last))
        values = [self.get(value, kind) for value in values]
        if "hi" in modifiers:
            wide = {"u64": "unsigned __int128", "s64": "__int128"}.get(kind) or C_TYPES[wide]
            values[:2] = [f"(({C_TYPES[kind]})((({wide}){values[0]} * ({wide}){values[1]}) >> {8 * size(kind)}))", "1"]
        return self.set(operands[0], kind, self.arithmetic(operation, modifiers, kind, values))

    op_sub = op_mul = op_div = op_rem = op_mad = op_fma = op_min = op_max = op_neg = op_abs = op_add

    @staticmethod
    def arithmetic(operation, modifiers, kind, values) -> str:
        a, b, c = [*values, "", ""][:3]
        precise = "" if kind == "f64" else "f"
        if operation in ("fma", "mad") and is_float(kind):
            value = f"fma_down({a}, {b}, {c})" if "rm" in modifiers else f"fma{precise}({a}, {b}, {c})"
        elif operation in ("min", "max") and is_float(kind):
            value = f"f{operation}{precise}({a}, {b})"
            if "NaN" in modifiers:
                value = f"(isnan({a}) || isnan({b}) ? NAN : {value})"
        elif operation in ("min", "max"):
            value = f"({a} {'<' if operation == 'min' else '>'} {b} ? {a} : {b})"
        elif operation in ("div", "rem") and not is_float(kind):
            value = f"({b} ? {a} {'/' if operation == 'div' else '%'} {b} : {'-1' if operation == 'div' else a})"
        elif operation == "abs":
            value = f"fabs({a})" if is_float(kind) else f"({a} < 0 ? -{a} : {a})"
        elif operation == "neg":
            value = f"(-{a})"
        elif operation == "mad":
            value = f"({a} * {b} + {c})"
        else:
            value = f"({a} {dict(add='+', sub='-', mul='*', div='/')[operation]} {b})"
        return f"saturated({value})" if "sat" in modifiers else value

    def halves(self, kind, operands, compute) -> str:
        """Both halves of a register, each with `compute`."""
        half = kind.removesuffix("x2")

        def one(shift):
            values = [f"wide_{half}(AS({half}, uint16_t, {self.get(o, 'b32')} >> {shift}))" for o in operands[1:]]
            return f"(uint32_t)AS(uint16_t, {half}, narrow_{half}({compute(*values)}))"
        return self.set(operands[0], "b32", f"{one(0)} | {one(16)} << 16")

    def op_function(self, operation, modifiers, operands):
        kind = modifiers[-1]
        value = f"({FUNCTIONS[operation]}((double)wide_{kind}({self.get(operands[1], kind)})))"
        return self.set(operands[0], kind, f"narrow_{kind}({value})")

    def op_cvt(self, _, modifiers, operands):
        to, source = modifiers[-2:]
        if to.endswith("x2"):
            half = to.removesuffix("x2")
            high, low = (f"(uint32_t)AS(uint16_t, {half}, narrow_{half}({self.get(o, source)}))" for o in operands[1:])
            return self.set(operands[0], "b32", f"{high} << 16 | {low}")
        value = self.get(operands[1], source)
        if is_float(source):
            value = f"wide_{source}({value})"
            rounded = next((ROUNDED[m] for m in modifiers if m in ROUNDED), None)
            value = f"{rounded}({value})" if rounded else value
            if not is_float(to):
                bits = 8 * size(to)
                least, most = (f"-0x1p{bits - 1}", f"0x1p{bits - 1} - 1") if to[0] == "s" else ("0", f"0x1p{bits} - 1")
                value = f"to_integer({value}, {least}, {most})"
        if "sat" in modifiers:
            if not is_float(to):
                raise KeyError("sat")
            value = f"saturated({value})"
        return self.set(operands[0], to, f"narrow_{to}({value})" if is_float(to) else value)

    # What a warp does together

    def exchange(self, how, operands) -> str:
        self.together = True
        result, *inside = [part.strip() for part in operands[0].split("|")]
        value, other, clamp = (self.get(operand, "b32") for operand in operands[1:4])
        code = f"int inside; uint32_t got = exchange(t, {how}, {value}, {other}, {clamp}, &inside); {self.set(result, 'b32', 'got')}"
        return code + "".join(self.set(register, "pred", "inside") for register in inside)

    def op_shfl(self, _, modifiers, operands):
        return self.exchange(modifiers[1].upper(), operands)

    def op_ldmatrix(self, _, modifiers, operands):
        self.together = True
        count = len(listed(operands[0]))
        at = self.address(operands[1], "shared")
        return (f"uint32_t rows[4]; load_rows(t, {at}, {count}, {int('trans' in modifiers)}, rows); "
                + self.set_all(operands[0], "b32", "rows"))

    def op_mma(self, _, modifiers, operands):
        self.together = True
        if "m16n8k16" not in modifiers or modifiers[-1] != "f32" or modifiers[-4] != "f32":
            raise KeyError("shape")
        d, a, b, c = operands
        return (f"uint32_t a[] = {self.array(a, 'b32')}, b[] = {self.array(b, 'b32')}; float c[] = {self.array(c, 'f32')}; "
                f"multiply_rows(t, {ELEMENTS[modifiers[-3]]}, a, b, c); {self.set_all(d, 'f32', 'c')}")

    def op_wmma(self, _, modifiers, operands):
        self.together = True
        shape = next(m for m in modifiers if re.fullmatch(r"m\d+n\d+k\d+", m))
        m, n, k = map(int, re.findall(r"\d+", shape))
        if modifiers[0] == "mma":
            kinds = [kind for kind in modifiers[modifiers.index(shape) + 1:] if kind in ELEMENTS]
            d_kind, a_kind, c_kind = (kinds[0], "f16", kinds[1]) if len(kinds) == 2 else (kinds[0], kinds[1], kinds[3])
            d, a, b, c = operands
            return (f"static const int shape[] = {{{m}, {n}, {k}}}, elements[] = {{{ELEMENTS[a_kind]}, {ELEMENTS[c_kind]}, {ELEMENTS[d_kind]}}}; "
                    f"uint32_t a[8] = {self.array(a, 'b32')}, b[8] = {self.array(b, 'b32')}, c[8] = {self.array(c, 'b32')}; "
                    f"multiply_matrices(t, shape, elements, a, b, c); {self.set_all(d, 'b32', 'c')}")
        rows, columns = {"a": (m, k), "b": (k, n), "c": (m, n), "d": (m, n)}[modifiers[1]]
        loads = modifiers[0] == "load"
        memory, registers = (operands[1], operands[0]) if loads else operands[:2]
        settings = (f"{self.address(memory, space_of(modifiers))}, {rows}, {columns}, {ELEMENTS[modifiers[-1]]}, "
                    f"{int('row' in modifiers)}, {self.get(operands[2], 'u32')}, values")
        if loads:
            return f"uint32_t values[8]; load_matrix(t, {settings}); {self.set_all(registers, 'b32', 'values')}"
        return f"uint32_t values[8] = {self.array(registers, 'b32')}; store_matrix(t, {settings});"

    def text(self) -> str:
        body = "\n    ".join(self.statements)
        arguments = ", ".join(f"{{{offset}, {bytes_}}}" for offset, bytes_ in self.parameters.values()) or "{0, 0}"
        return (f"static void run_{self.title}(Thread *t) {{\n    {body}\n}}\n"
                f"static const int arguments_{self.title}[][2] = {{{arguments}}};\n"
                f"const Kernel kernel_{self.title} = {{run_{self.title}, arguments_{self.title}, {len(self.parameters)}, "
                f"{int(self.together)}, {self.module.named_shared}}};\n")


class Module:
    """All kernels of a module, and memory that has a name."""

    def __init__(self, text: str):
        text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S).split("\t.section")[0]
        text = "\n".join(line for line in text.split("\n") if not re.match(NO_STATEMENT, line))
        self.shared, self.named_shared, self.globals = {}, 0, {}
        self.dynamic_shared = set(re.findall(r"\.extern\s+\.shared\s+\.align\s+\d+\s+\.b8\s+(\w+)\[\]", text))
        for align, label, count in re.findall(r"^\.shared\s+\.align\s+(\d+)\s+\.b8\s+(\w+)\[(\d+)\]", text, re.M):
            self.add_shared(label, int(align), int(count))
        for kind, label, count, values in re.findall(
                r"\.(?:global|const)\s+\.align\s+\d+\s+\.(\w+)\s+(\w+)(?:\[(\d*)\])?(?:\s*=\s*\{?([^;}]+)\}?)?;", text):
            if text.count(label) > 1:
                self.globals[label] = f"static {C_TYPES[kind]} {label}[{count or 1}] = {{{values or 0}}};"
        self.kernels = []
        for found in re.finditer(r"\.entry\s+(\w+)\s*\((.*?)\)\s*\{", text, re.S):
            depth, end = 1, found.end()
            while depth:
                depth += {"{": 1, "}": -1}.get(text[end], 0)
                end += 1
            self.kernels.append(Kernel(found[1], found[2], text[found.end():end - 1], self))

    def add_shared(self, label: str, align: int, count: int) -> None:
        at = -(-self.named_shared // align) * align
        self.shared[label], self.named_shared = at, at + count

    def text(self) -> str:
        return "\n".join(['#include "kernel.h"', *self.globals.values(), *(kernel.text() for kernel in self.kernels)])


def main() -> None:
    ptx, library = map(Path, sys.argv[1:])
    try:
        text = Module(ptx.read_text()).text()
    except Refused as refused:
        print(f"cuda_on_cpu: no translation of `{refused}`", file=sys.stderr)
        sys.exit(REFUSED)
    with tempfile.TemporaryDirectory(dir=library.parent) as work:
        source, made = Path(work) / "kernels.c", Path(work) / "kernels.so"
        source.write_text(text)
        subprocess.run(["gcc", "-w", "-O1", "-mavx2", "-mfma", "-mf16c", "-ffp-contract=off", "-fno-strict-aliasing",
                        "-shared", "-fPIC", f"-I{Path(__file__).parent}", "-o", made, source,
                        f"-L{library.parent}", "-lcuda"], check=True)
        made.rename(library)


main()
