# Everything that people and CI do, by name.
.PHONY: run test lint fuzz bench soak cast images libvirt deps fmt clean

CARGO    ?= cargo
# Where the tests find the images that they boot.
IMAGES   := target/test/images

# Installs what is missing, builds, makes the micro image, starts the portal.
run: deps libvirt
	$(CARGO) build --release
	test -e data/images/micro/current || target/release/twarga image build micro
	target/release/twarga serve

test: deps libvirt images
	TWARGA_IMAGES=$(abspath $(IMAGES)) $(CARGO) test --no-fail-fast

lint: lint-deps
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --no-default-features --lib -- -D warnings
	cargo deny --log-level error check bans licenses sources
	@# The advisories live in a database on the internet; without it, that is said aloud.
	@if cargo deny --log-level off fetch db; then cargo deny --log-level error check advisories; \
	else echo "WARNING: the advisory database cannot be fetched here: advisories are NOT checked"; fi

# Seconds for each fuzzer: random packets before and after the login, and bytes
# for every reader. What they find lies in fuzz/artifacts; a seed is printed.
FUZZ_SECONDS ?= 300

fuzz: deps fuzz-deps
	TWARGA_FUZZ_SECONDS=$(FUZZ_SECONDS) $(CARGO) test --test ssh_fuzz -- --nocapture
	@# Coverage is all that is wanted of the compiler: no sanitizer, so a stable one does.
	for target in $$($(CARGO) fuzz list); do \
	    mkdir -p fuzz/corpus/$$target; \
	    $(CARGO) fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	        -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 -timeout=10 -print_final_stats=1 || exit 1; \
	done

bench: deps libvirt images
	$(CARGO) build --release --bins --example portal_over_sshd
	TWARGA_IMAGES=$(abspath $(IMAGES)) scripts/bench

# SOAK_SECONDS=3600 make soak
soak: deps libvirt images
	$(CARGO) build --release --bins
	TWARGA_IMAGES=$(abspath $(IMAGES)) scripts/soak

# docs/first-minutes.cast, on real VMs.
cast: deps libvirt images
	$(CARGO) build --release --bins
	TWARGA_IMAGES=$(abspath $(IMAGES)) scripts/cast

deps:
	scripts/install-deps

lint-deps:
	scripts/install-deps lint

fuzz-deps:
	scripts/install-deps fuzz

libvirt: deps
	scripts/start-libvirt

# Built again only when their recipe changes.
images: $(IMAGES)/micro/current $(IMAGES)/debian-12/current

$(IMAGES)/%/current: src/image/recipes/%.sh | deps
	$(CARGO) build
	mkdir -p target/test
	echo 'data_dir = "target/test"' > target/test/twarga.toml
	target/debug/twarga --config target/test/twarga.toml image build $*

clean:
	$(CARGO) clean
