# The oracle: Python PEFT and transformers in an environment of their own, .deps/oracle. Sourced after
# tools/setup.sh; `.deps/oracle/python` runs it.

ORACLE=.deps/oracle
TORCH_WHEEL=torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl

oracle_stamp() {
  cat tools/oracle_requirements.txt tools/make_cuda_stand_ins.py
  echo "$TORCH_WHEEL"
}

make_oracle() {
  python3 tools/fetch.py minilm
  if [ -f $ORACLE/.made-from ] && oracle_stamp | cmp -s - $ORACLE/.made-from; then
    echo "   all there"
    return
  fi
  local python=python3.11 wheels=${PEFT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/peft-cpp}/wheels
  command -v $python >/dev/null || fail "The interop tests need Python 3.11, which torch's wheel is made for."
  python3 tools/fetch.py wheel
  rm -rf $ORACLE
  $python -m venv $ORACLE
  $ORACLE/bin/pip install --quiet --disable-pip-version-check --no-deps \
    --requirement tools/oracle_requirements.txt "$wheels/$TORCH_WHEEL"
  $ORACLE/bin/python tools/make_cuda_stand_ins.py \
    $ORACLE/lib/$python/site-packages/torch $ORACLE/stand_ins
  cat >$ORACLE/python <<EOF
#!/bin/sh
# Python with PEFT, on the processor and without the network.
here=\$(cd "\$(dirname "\$0")" && pwd)
LD_LIBRARY_PATH=\$here/stand_ins HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 exec "\$here/bin/python" "\$@"
EOF
  chmod +x $ORACLE/python
  $ORACLE/python -c 'import peft, torch, transformers
print(f"   peft {peft.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")'
  oracle_stamp >$ORACLE/.made-from
}
