;; The two passes of resampling (see resample.ts). Both read and write interleaved RGB bytes, in this module's memory.
;; An axis is described by `starts`, `counts` and `weights` (int32 arrays): output i is
;;   clip8((2^21 + sum over k < counts[i] of weights[i*taps + k] * input[starts[i] + k]) >> 22).
;; Reads may go 16 bytes past the last pixel, writes as well: the caller leaves room.
(module
  (memory (export "memory") 1)

  ;; Filters `rows` rows of `stride` bytes; an output row has `width` pixels and no gap after it.
  (func (export "horizontal")
    (param $source i32) (param $stride i32) (param $rows i32)
    (param $starts i32) (param $counts i32) (param $weights i32) (param $taps i32)
    (param $width i32) (param $target i32)
    (local $x i32) (local $pixel i32) (local $weight i32) (local $end i32) (local $sum v128)
    (local.set $taps (i32.shl (local.get $taps) (i32.const 2)))
    (block $done
      (loop $row
        (br_if $done (i32.eqz (local.get $rows)))
        (local.set $x (i32.const 0))
        (loop $column
          (local.set $weight
            (i32.add (local.get $weights) (i32.mul (local.get $x) (local.get $taps))))
          (local.set $end
            (i32.add (local.get $weight)
              (i32.shl
                (i32.load (i32.add (local.get $counts) (i32.shl (local.get $x) (i32.const 2))))
                (i32.const 2))))
          (local.set $pixel
            (i32.add (local.get $source)
              (i32.mul
                (i32.load (i32.add (local.get $starts) (i32.shl (local.get $x) (i32.const 2))))
                (i32.const 3))))
          (local.set $sum (v128.const i32x4 0x200000 0x200000 0x200000 0x200000))
          (loop $tap
            (local.set $sum
              (i32x4.add (local.get $sum)
                (i32x4.mul (v128.load32_splat (local.get $weight))
                  (i32x4.extend_low_i16x8_u
                    (i16x8.extend_low_i8x16_u (v128.load32_zero (local.get $pixel)))))))
            (local.set $pixel (i32.add (local.get $pixel) (i32.const 3)))
            (local.set $weight (i32.add (local.get $weight) (i32.const 4)))
            (br_if $tap (i32.lt_u (local.get $weight) (local.get $end))))
          (local.set $sum (i32x4.shr_s (local.get $sum) (i32.const 22)))
          (local.set $sum (i16x8.narrow_i32x4_s (local.get $sum) (local.get $sum)))
          (v128.store32_lane 0 (local.get $target)
            (i8x16.narrow_i16x8_u (local.get $sum) (local.get $sum)))
          (local.set $target (i32.add (local.get $target) (i32.const 3)))
          (local.set $x (i32.add (local.get $x) (i32.const 1)))
          (br_if $column (i32.lt_u (local.get $x) (local.get $width))))
        (local.set $source (i32.add (local.get $source) (local.get $stride)))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (br $row))))

  ;; Filters columns of rows of `stride` bytes into `height` rows of the same length, 16 bytes at a time.
  (func (export "vertical")
    (param $source i32) (param $stride i32)
    (param $starts i32) (param $counts i32) (param $weights i32) (param $taps i32)
    (param $height i32) (param $target i32)
    (local $x i32) (local $pixel i32) (local $weight i32) (local $end i32) (local $first i32)
    (local $w v128) (local $bytes v128) (local $half v128)
    (local $sum0 v128) (local $sum1 v128) (local $sum2 v128) (local $sum3 v128)
    (local.set $taps (i32.shl (local.get $taps) (i32.const 2)))
    (block $done
      (loop $row
        (br_if $done (i32.eqz (local.get $height)))
        (local.set $end
          (i32.add (local.get $weights) (i32.shl (i32.load (local.get $counts)) (i32.const 2))))
        (local.set $first
          (i32.add (local.get $source) (i32.mul (i32.load (local.get $starts)) (local.get $stride))))
        (local.set $x (i32.const 0))
        (loop $column
          (local.set $sum0 (v128.const i32x4 0x200000 0x200000 0x200000 0x200000))
          (local.set $sum1 (local.get $sum0))
          (local.set $sum2 (local.get $sum0))
          (local.set $sum3 (local.get $sum0))
          (local.set $pixel (i32.add (local.get $first) (local.get $x)))
          (local.set $weight (local.get $weights))
          (loop $tap
            (local.set $w (v128.load32_splat (local.get $weight)))
            (local.set $bytes (v128.load (local.get $pixel)))
            (local.set $half (i16x8.extend_low_i8x16_u (local.get $bytes)))
            (local.set $sum0
              (i32x4.add (local.get $sum0)
                (i32x4.mul (local.get $w) (i32x4.extend_low_i16x8_u (local.get $half)))))
            (local.set $sum1
              (i32x4.add (local.get $sum1)
                (i32x4.mul (local.get $w) (i32x4.extend_high_i16x8_u (local.get $half)))))
            (local.set $half (i16x8.extend_high_i8x16_u (local.get $bytes)))
            (local.set $sum2
              (i32x4.add (local.get $sum2)
                (i32x4.mul (local.get $w) (i32x4.extend_low_i16x8_u (local.get $half)))))
            (local.set $sum3
              (i32x4.add (local.get $sum3)
                (i32x4.mul (local.get $w) (i32x4.extend_high_i16x8_u (local.get $half)))))
            (local.set $pixel (i32.add (local.get $pixel) (local.get $stride)))
            (local.set $weight (i32.add (local.get $weight) (i32.const 4)))
            (br_if $tap (i32.lt_u (local.get $weight) (local.get $end))))
          (v128.store (i32.add (local.get $target) (local.get $x))
            (i8x16.narrow_i16x8_u
              (i16x8.narrow_i32x4_s
                (i32x4.shr_s (local.get $sum0) (i32.const 22))
                (i32x4.shr_s (local.get $sum1) (i32.const 22)))
              (i16x8.narrow_i32x4_s
                (i32x4.shr_s (local.get $sum2) (i32.const 22))
                (i32x4.shr_s (local.get $sum3) (i32.const 22)))))
          (local.set $x (i32.add (local.get $x) (i32.const 16)))
          (br_if $column (i32.lt_u (local.get $x) (local.get $stride))))
        (local.set $target (i32.add (local.get $target) (local.get $stride)))
        (local.set $starts (i32.add (local.get $starts) (i32.const 4)))
        (local.set $counts (i32.add (local.get $counts) (i32.const 4)))
        (local.set $weights (i32.add (local.get $weights) (local.get $taps)))
        (local.set $height (i32.sub (local.get $height) (i32.const 1)))
        (br $row)))))
