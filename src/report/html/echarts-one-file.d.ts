/** ECharts as one minified file: the package has no types for it, but it exports what the package does. */
declare module 'echarts/dist/echarts.esm.min.mjs' {
  export { init } from 'echarts';
}
