;; Places an image in a batch (see normalize.ts): `rows` rows of `width` interleaved RGB bytes become float32 values, each
;; looked up in its channel's table: 256 values of red, then of green, then of blue. Steps and addresses are
;; in bytes.
(module
  (memory (export "memory") 1)

  (func (export "place")
    (param $source i32) (param $width i32) (param $rows i32) (param $tables i32)
    (param $target i32) (param $pixelStep i32) (param $channelStep i32) (param $rowStep i32)
    (local $end i32) (local $at i32) (local $blue i32)
    (local.set $blue (i32.shl (local.get $channelStep) (i32.const 1)))
    (loop $row
      (local.set $at (local.get $target))
      (local.set $end (i32.add (local.get $source) (i32.mul (local.get $width) (i32.const 3))))
      (loop $pixel
        (f32.store (local.get $at)
          (f32.load
            (i32.add (local.get $tables)
              (i32.shl (i32.load8_u (local.get $source)) (i32.const 2)))))
        (f32.store (i32.add (local.get $at) (local.get $channelStep))
          (f32.load offset=1024
            (i32.add (local.get $tables)
              (i32.shl (i32.load8_u offset=1 (local.get $source)) (i32.const 2)))))
        (f32.store (i32.add (local.get $at) (local.get $blue))
          (f32.load offset=2048
            (i32.add (local.get $tables)
              (i32.shl (i32.load8_u offset=2 (local.get $source)) (i32.const 2)))))
        (local.set $at (i32.add (local.get $at) (local.get $pixelStep)))
        (local.set $source (i32.add (local.get $source) (i32.const 3)))
        (br_if $pixel (i32.lt_u (local.get $source) (local.get $end))))
      (local.set $target (i32.add (local.get $target) (local.get $rowStep)))
      (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
      (br_if $row (local.get $rows)))))
