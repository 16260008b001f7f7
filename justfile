# Everyday commands; `.ci/run` checks the same. https://just.systems

# List the commands.
default:
    @just --list

# Formatting and lints.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# All tests on the Flex backend.
test:
    cargo test --workspace

# Those of the same tests that ask for a device, on the NdArray backend (`.ci/run` says why the Python package is named).
test-ndarray:
    VASCX_TEST_DEVICE=ndarray cargo test --package vascx-convert --package vascx-inference --package vascx --package vascx-python --tests

# A user's crate, outside of the workspace: types, then a run.
outside:
    cp Cargo.lock tests/outside/
    cargo run --release --manifest-path tests/outside/Cargo.toml --bin outside -- .

# The Python package's tests and types, on a wheel in an environment of its own.
python-test PYTHON="python3":
    {{PYTHON}} -m venv target/python
    target/python/bin/pip install --quiet maturin mypy "pyright[nodejs]" pillow pytest
    target/python/bin/maturin build --release --locked --manifest-path python/Cargo.toml --out target/wheels
    target/python/bin/pip install --quiet --force-reinstall target/wheels/vascx_rs-*.whl
    target/python/bin/pytest -q -c python/pyproject.toml python/tests

# A Ray cluster of two nodes on this machine, one of whose workers is killed (docs/ray.md).
ray-test PYTHON="python3":
    {{PYTHON}} -m venv target/ray
    target/ray/bin/pip install --quiet maturin pillow pytest "ray[data]"
    target/ray/bin/maturin build --release --locked --manifest-path python/Cargo.toml --out target/wheels
    target/ray/bin/pip install --quiet --force-reinstall target/wheels/vascx_rs-*.whl
    target/ray/bin/pytest -s -c python/pyproject.toml python/tests/test_ray.py

# Documentation without warnings.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Type-check and lint the GPU builds; needs neither toolkit nor card.
check-gpu:
    cargo clippy --workspace --features cuda,wgpu -- -D warnings

# Correctness and speed on this machine's card, against PyTorch (see docs/gpu.md).
gpu-check DEVICE="cuda:0" PYTHON="python3":
    cargo build --release --features cuda
    {{PYTHON}} tools/compare/gpu.py run --device {{DEVICE}}

# The same as an archive for another machine.
gpu-pack PYTHON="python3":
    cargo build --release --features cuda
    {{PYTHON}} tools/compare/gpu.py pack

# The CUDA kernels' tests without a card, on the processor (docs/gpu.md).
cuda-on-cpu:
    tools/cuda_on_cpu/run cargo test -p vascx-gpu --features cuda --test card

# A network on Vulkan, in software where there is no card (Debian: mesa-vulkan-drivers).
wgpu-check PYTHON="python3":
    cargo build --release --features wgpu
    {{PYTHON}} tools/compare/gpu.py run --device wgpu --only checks --dtypes f32

# The report in a browser (Debian: chromium, nodejs); skips without one.
report-test:
    cargo build --bin vascx
    node --test tests/report/

# The main job on the bundled models and photographs.
demo OUT="out/demo":
    cargo run --release -- demo --out {{OUT}}

# Licences, sources and duplicate versions of the dependencies.
deny:
    cargo deny check

# Fuzz a target (unpickle, archive, program, onnx, state_dict, field_of_view, photograph) for some seconds; libFuzzer needs unstable compiler flags.
fuzz TARGET SECONDS="600":
    RUSTC_BOOTSTRAP=1 cargo fuzz run -s none {{TARGET}} -- -max_total_time={{SECONDS}} -rss_limit_mb=1024

# Faults in every write, sync and rename of a small run (strace), losses of power, full disks, signals,
# damaged pictures.
faults:
    cargo test --release --test faults --test power --test stress --test mutated -- --include-ignored --nocapture

# 20 000 tiny photographs in constant memory, and 2 000 to the folder of a resumed run.
soak:
    cargo test --release --test soak -- --ignored --nocapture

# Regenerate the test fixtures (see CONTRIBUTING.md for the Python environment).
fixtures PYTHON="python3":
    {{PYTHON}} tools/fixtures/models.py
    {{PYTHON}} tools/fixtures/onnx.py
    {{PYTHON}} tools/fixtures/programs.py
    {{PYTHON}} tools/fixtures/state_dicts.py
    {{PYTHON}} tools/fixtures/wrappers.py
    {{PYTHON}} tools/fixtures/inference.py
    {{PYTHON}} tools/fixtures/field_of_view.py
    {{PYTHON}} tools/fixtures/ensembles.py
    {{PYTHON}} tools/fixtures/jpeg.py
    {{PYTHON}} tools/fixtures/tiff.py
    {{PYTHON}} tools/fixtures/dicom.py
