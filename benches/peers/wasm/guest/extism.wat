;; Between the app and the memory in which Extism passes a call's input and output, eight bytes at a time as far as it
;; goes, as Extism's kit for plugins does it.
(import "extism:host/env" "input_length" (func $input_length (result i64)))
(import "extism:host/env" "input_load_u8" (func $input_load_u8 (param i64) (result i32)))
(import "extism:host/env" "input_load_u64" (func $input_load_u64 (param i64) (result i64)))
(import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
(import "extism:host/env" "store_u8" (func $store_u8 (param i64 i32)))
(import "extism:host/env" "store_u64" (func $store_u64 (param i64 i64)))
(import "extism:host/env" "output_set" (func $output_set (param i64 i64)))

(func (export "greet") (result i32)
  (local $length i32)
  (local.set $length (i32.wrap_i64 (call $input_length)))
  ;; There is room for so much between the places of a request and an answer.
  (if (i32.gt_u (local.get $length) (i32.const 0x7000)) (then (return (i32.const 1))))
  (call $take (local.get $length))
  (call $hand_in (call $greet (local.get $length)))
  (i32.const 0))

(func $take (param $length i32)
  (local $at i32)
  (block $words
    (loop $next
      (br_if $words (i32.gt_u (i32.add (local.get $at) (i32.const 8)) (local.get $length)))
      (i64.store offset=0x1000 (local.get $at)
        (call $input_load_u64 (i64.extend_i32_u (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br $next)))
  (block $bytes
    (loop $next
      (br_if $bytes (i32.ge_u (local.get $at) (local.get $length)))
      (i32.store8 offset=0x1000 (local.get $at)
        (call $input_load_u8 (i64.extend_i32_u (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next))))

(func $hand_in (param $length i32)
  (local $at i32) (local $to i64)
  (local.set $to (call $alloc (i64.extend_i32_u (local.get $length))))
  (block $words
    (loop $next
      (br_if $words (i32.gt_u (i32.add (local.get $at) (i32.const 8)) (local.get $length)))
      (call $store_u64 (i64.add (local.get $to) (i64.extend_i32_u (local.get $at)))
        (i64.load offset=0x8000 (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br $next)))
  (block $bytes
    (loop $next
      (br_if $bytes (i32.ge_u (local.get $at) (local.get $length)))
      (call $store_u8 (i64.add (local.get $to) (i64.extend_i32_u (local.get $at)))
        (i32.load8_u offset=0x8000 (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next)))
  (call $output_set (local.get $to) (i64.extend_i32_u (local.get $length))))
