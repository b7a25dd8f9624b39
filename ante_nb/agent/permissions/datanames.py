"""The names of libraries for data that the judge of Python knows, and what each may do.

Allow-lists: a module, function, method or attribute that is not named here is unknown. Everything here
computes, draws or changes values in memory, save for what ``READERS`` and ``WRITERS`` name, whose paths
are judged.
"""

from __future__ import annotations

from ante_nb.agent.permissions import pycode
from ante_nb.agent.permissions.programs import names

_AXES = names(
    "annotate arrow axhline axhspan axis axvline axvspan bar barh bar_label boxplot contour contourf errorbar "
    "fill_between fill_betweenx hexbin hist hist2d hlines imshow legend loglog matshow pcolormesh pie plot "
    "plot_date quiver scatter semilogx semilogy spy stackplot stairs stem step text violinplot vlines grid "
    "invert_xaxis invert_yaxis margins minorticks_on minorticks_off tick_params twinx twiny cla clear autoscale"
)
_PYPLOT = _AXES | names(
    "axes cla clf close cm colorbar colormaps figure figtext gca gcf get_cmap show sca subplot subplots "
    "subplots_adjust subplot_mosaic suptitle style tight_layout title xlabel xlim xscale xticks ylabel ylim yscale "
    "yticks clim rcParams savefig draw"
)
MODULES: dict[str, frozenset[str]] = {
    **pycode.MODULES,
    "json": names("dumps loads load dump JSONDecodeError"),
    "csv": names("reader writer DictReader DictWriter QUOTE_ALL QUOTE_MINIMAL QUOTE_NONNUMERIC"),
    "re": names(
        "compile escape findall finditer fullmatch match search split sub subn I IGNORECASE M MULTILINE S DOTALL X VERBOSE"
    ),
    "collections": names("Counter OrderedDict defaultdict deque"),
    "itertools": pycode.MODULES["itertools"]
    | names("accumulate count cycle dropwhile filterfalse groupby repeat starmap takewhile tee"),
    "functools": names("reduce"),
    "random": names(
        "choice choices expovariate gauss getrandbits normalvariate randint random randrange sample seed shuffle "
        "triangular uniform Random"
    ),
    "time": names("monotonic perf_counter process_time time strftime localtime gmtime"),
    "calendar": names("day_abbr day_name isleap month_abbr month_name monthrange"),
    "warnings": names("filterwarnings simplefilter catch_warnings"),
    "operator": pycode.MODULES["operator"] | frozenset(["itemgetter"]),
    "io": names("StringIO BytesIO"),
    "math": pycode.MODULES["math"] | names("comb factorial perm"),
    "numpy": names(
        "abs absolute add all allclose amax amin angle any append apply_along_axis arange arccos arcsin arctan "
        "arctan2 argmax argmin argpartition argsort argwhere around array array_equal array_split asarray atleast_1d "
        "atleast_2d average bincount bool_ broadcast_to cbrt ceil clip column_stack concatenate conj convolve copy "
        "corrcoef correlate cos cosh count_nonzero cov cross cumprod cumsum datetime64 deg2rad degrees delete "
        "diag diagonal diff digitize divide dot dstack e ediff1d einsum empty empty_like equal exp exp2 expand_dims "
        "expm1 eye fabs fft fill_diagonal finfo flatnonzero flip fliplr flipud float16 float32 float64 floor "
        "floor_divide fmax fmin full full_like genfromtxt geomspace gradient greater histogram histogram2d "
        "histogram_bin_edges hsplit hstack hypot identity iinfo imag in1d indices inf inner insert int16 int32 int64 "
        "int8 interp intersect1d isclose isfinite isin isinf isnan ix_ kron less lexsort linalg linspace load "
        "loadtxt log log10 log1p log2 logical_and logical_not logical_or logical_xor logspace mask_indices matmul "
        "max maximum mean median meshgrid min minimum mod moveaxis multiply nan nan_to_num nanargmax nanargmin nancumsum "
        "nanmax nanmean nanmedian nanmin nanpercentile nanquantile nanstd nansum nanvar ndarray ndim negative newaxis "
        "nonzero not_equal ones ones_like outer pad partition percentile pi piecewise place poly1d polyfit polyval "
        "power prod ptp putmask quantile r_ rad2deg radians random ravel real reciprocal repeat reshape resize "
        "rint roll roots rot90 round s_ save savetxt savez searchsorted select setdiff1d setxor1d shape sign sin sinc "
        "sinh size sort split sqrt square squeeze stack std subtract sum swapaxes take take_along_axis tan tanh tensordot "
        "tile timedelta64 trace transpose trapezoid tril triu trim_zeros trunc uint16 uint32 uint64 uint8 union1d unique "
        "unravel_index unwrap vander var vdot vectorize vsplit vstack where zeros zeros_like c_ printoptions "
        "set_printoptions errstate object_ str_ integer floating number"
    ),
    "numpy.random": names(
        "beta binomial chisquare choice default_rng dirichlet exponential gamma geometric gumbel integers laplace "
        "lognormal multinomial multivariate_normal negative_binomial normal pareto permutation poisson rand randint randn "
        "random random_sample rayleigh seed shuffle standard_normal triangular uniform weibull RandomState"
    ),
    "numpy.linalg": names("cond det eig eigh eigvals inv lstsq matrix_rank norm pinv qr solve svd cholesky"),
    "numpy.fft": names("fft fft2 fftfreq fftshift ifft ifft2 ifftshift irfft rfft rfftfreq"),
    "pandas": names(
        "BooleanDtype Categorical CategoricalDtype CategoricalIndex DataFrame DateOffset DatetimeIndex Float64Dtype Index "
        "IndexSlice Int64Dtype Interval IntervalIndex MultiIndex NA NaT Period PeriodIndex RangeIndex Series "
        "StringDtype Timedelta TimedeltaIndex Timestamp array bdate_range concat crosstab cut date_range factorize "
        "from_dummies get_dummies infer_freq interval_range isna isnull json_normalize lreshape melt merge merge_asof "
        "merge_ordered notna notnull option_context period_range pivot pivot_table qcut read_csv read_excel "
        "read_feather read_fwf read_json read_parquet read_table reset_option set_option get_option timedelta_range to_datetime "
        "to_numeric to_timedelta unique wide_to_long"
    ),
    "polars": names(
        "DataFrame Series LazyFrame Boolean Categorical Date Datetime Duration Float32 Float64 Int8 Int16 Int32 Int64 List "
        "Null String Struct Time UInt8 UInt16 UInt32 UInt64 Utf8 all all_horizontal any any_horizontal arange coalesce "
        "col concat concat_list concat_str corr count cov cum_sum date date_range datetime datetime_range duration element "
        "exclude first from_dict from_dicts from_pandas from_records int_range last len lit max max_horizontal mean "
        "mean_horizontal median min min_horizontal n_unique nth quantile read_csv read_excel read_ipc "
        "read_json read_ndjson read_parquet scan_csv scan_parquet select std struct sum sum_horizontal var when zeros ones"
    ),
    "matplotlib": names("pyplot"),
    "matplotlib.pyplot": _PYPLOT,
    "matplotlib.pyplot.cm": names("viridis plasma inferno magma cividis tab10 tab20 Set1 Set2 coolwarm RdBu Blues"),
    "matplotlib.pyplot.style": names("use context available"),
    "matplotlib.ticker": names("FuncFormatter MaxNLocator MultipleLocator PercentFormatter StrMethodFormatter"),
    "matplotlib.dates": names("DateFormatter MonthLocator DayLocator YearLocator AutoDateLocator date2num"),
}  # fmt: skip
MODULES["datetime"] = names("date datetime time timedelta timezone")
"""Modules and names in them that may be used; a name that is a module too is looked into."""

BUILTINS = pycode.BUILTINS | names(
    "map filter iter next type display open format sorted dict callable hasattr"
)
SHOWS = names("print len type isinstance issubclass repr str bool id display callable ascii")
"""Built-in functions that may be given anything: they do what ``print(df)`` does."""

EXCEPTIONS = names(
    "ArithmeticError AssertionError AttributeError EOFError Exception FileNotFoundError IndexError KeyError "
    "LookupError NameError NotImplementedError OSError OverflowError RuntimeError StopIteration TypeError "
    "UnicodeDecodeError UserWarning FutureWarning DeprecationWarning RuntimeWarning Warning ValueError ZeroDivisionError"
)

CLASS_METHODS = names(
    "now today utcnow strptime fromisoformat fromtimestamp from_dict from_records fromkeys from_iterable from_product "
    "from_tuples from_arrays from_frame combine min max maketrans"
)

TEXT = pycode.TEXT_METHODS | names(
    "decode translate expandtabs strftime isoformat timestamp weekday isoweekday isocalendar date time total_seconds astimezone"
)
_BUILTIN = names(
    "append clear copy count difference discard add elements extend get index insert intersection isdisjoint issubset "
    "issuperset items keys most_common pop popitem popleft appendleft remove rotate setdefault sort subtract "
    "symmetric_difference union update values reverse conjugate is_integer as_integer_ratio real imag numerator denominator "
    "group groups groupdict span pattern findall finditer search match fullmatch sub subn split year month day hour minute "
    "second microsecond days seconds read readline readlines write writelines close getvalue writerow writerows "
    "writeheader fieldnames"
)
_FRAMES = names(
    "T abs add agg aggregate align all any append apply applymap argmax argmin argsort asfreq asof assign astype "
    "at autocorr axes backfill between bfill bool cat categories ceil clip codes columns combine_first compare convert_dtypes copy corr "
    "corrwith count cov cummax cummin cumprod cumsum date day day_name day_of_week day_of_year dayofweek dayofyear days days_in_month "
    "describe diff div divide dot drop drop_duplicates droplevel dropna dt dtype dtypes duplicated empty eq equals eval ewm "
    "expanding explode factorize ffill fillna filter first first_valid_index floor floordiv freq from_dict ge get get_group "
    "get_level_values groupby groups gt hasnans head hist hour iat idxmax idxmin iloc index infer_objects info insert interpolate "
    "is_leap_year is_monotonic_decreasing is_monotonic_increasing is_month_end is_month_start is_unique is_year_end isin isna isnull isocalendar item items "
    "iterrows itertuples join keys kurt kurtosis last last_valid_index le left length levels loc lt map mask max mean median melt memory_usage merge mid "
    "microsecond min minute mod mode month month_name mul multiply name names nbytes ndim ne ngroup ngroups nlargest normalize notna notnull nsmallest nth nunique "
    "ohlc pad pct_change pipe pivot pivot_table plot pop pow prod product quantile quarter query radd rank ravel rdiv reindex reindex_like "
    "rename rename_axis reorder_levels repeat replace resample reset_index right rolling round rpow rsub sample searchsorted second "
    "select_dtypes sem set_axis set_index set_names shape shift size skew slice sort_index sort_values sparse squeeze stack std str sub subtract sum "
    "swapaxes swaplevel tail take time to_csv to_dict to_excel to_feather to_frame to_html to_json to_latex to_list to_markdown "
    "to_numpy to_parquet to_period to_pydatetime to_records to_series to_string to_timestamp to_timedelta64 tolist total_seconds transform transpose truediv truncate "
    "tz tz_convert tz_localize unique union unstack update value_counts values var week weekday where xs year "
    "contains extract extractall findall fullmatch get_dummies len match pad cumcount dropna tail add_prefix add_suffix add_categories "
    "remove_categories rename_categories reorder_categories set_categories as_ordered as_unordered ordered remove_unused_categories "
    "line bar barh box kde density area pie scatter hexbin boxplot attrs"
)
_ARRAYS = names(
    "argpartition astype byteswap choose clip compress conj conjugate cumprod cumsum diagonal dot fill flat flatten itemsize "
    "max mean min ndim nonzero partition prod ptp put ravel repeat reshape resize round searchsorted sort squeeze std sum "
    "swapaxes take tobytes tolist trace transpose var view integers normal random uniform choice permutation "
    "shuffle poisson binomial exponential standard_normal lognormal beta gamma multivariate_normal coef coeffs order roots deriv integ"
)
_POLARS = names(
    "alias arg_max arg_min arg_sort arr bottom_k cast clip collect collect_schema concat_list cum_count cum_max cum_min cum_sum cut "
    "dt drop_nulls drop_nans ends_with estimated_size explain explode fill_nan fill_null filter first flatten floor gather_every "
    "get_column get_columns glimpse group_by group_by_dynamic head height hstack implode is_between is_duplicated is_first_distinct is_in "
    "is_nan is_not_nan is_not_null is_null is_unique iter_rows join join_asof last lazy len limit list log map_elements max max_horizontal "
    "n_unique null_count otherwise over partition_by qcut rank rechunk replace replace_strict reverse rolling_mean rolling_std "
    "rolling_sum round row rows sample schema select set_sorted shift slice sort sort_by split starts_with struct sum "
    "tail then to_date to_datetime to_dict to_dicts to_dummies to_lowercase to_numpy to_pandas to_series to_uppercase top_k "
    "transpose unique unnest unpivot upper_bound vstack when width with_columns with_row_index write_csv write_json write_ndjson "
    "write_parquet zfill strip_chars extract len_chars contains name suffix prefix keep any_value truncate month_start pivot item is_empty"
)
_FIGURES = _AXES | names(
    "add_axes add_gridspec add_patch add_subplot add_subplots autofmt_xdate autoscale_view axes bar_label colorbar figure "
    "flat fmt_xdata get_children get_figure get_legend get_legend_handles_labels get_lines get_title get_xlabel get_xlim get_xticklabels get_xticks "
    "get_ylabel get_ylim get_yticklabels get_yticks get_height get_width get_x get_y label_outer lines patches savefig secondary_xaxis secondary_yaxis set "
    "set_alpha set_aspect set_axis_off set_color set_edgecolor set_facecolor set_figheight set_figwidth set_fontsize set_label set_linestyle "
    "set_linewidth set_major_formatter set_major_locator set_minor_locator set_rotation set_size_inches set_ticks "
    "set_ticklabels set_title set_visible set_xlabel set_xlim set_xscale set_xticklabels set_xticks set_ylabel set_ylim set_yscale "
    "set_yticklabels set_yticks set_position set_ha set_va sharex sharey spines subplots subplots_adjust suptitle tight_layout title transAxes "
    "xaxis yaxis set_bbox_to_anchor set_zorder set_marker table dpi"
)
ATTRIBUTES = TEXT | _BUILTIN | _FRAMES | _ARRAYS | _POLARS | _FIGURES | names("real imag size flags")
"""Attributes and methods of values made of data: harmless on each kind of them (so no ``to_pickle``)."""

DRAWS = _FIGURES - _FRAMES - _ARRAYS - _POLARS | names(
    "plot hist boxplot line bar barh box kde density area pie scatter hexbin"
)
MUTATES = names(
    "append appendleft clear discard add extend insert pop popitem popleft remove rotate setdefault sort subtract update "
    "reverse fill put resize partition shuffle write writelines writerow writerows writeheader close read readline readlines"
)
"""Methods that change what they belong to, or may: for the strict mode."""

READERS: dict[str, tuple[str, ...]] = {
    # The names of the parameter that holds the path, where it is given by name.
    **dict.fromkeys(["pandas.read_csv", "pandas.read_table", "pandas.read_fwf"], ("filepath_or_buffer",)),
    "pandas.read_excel": ("io",),
    "pandas.read_json": ("path_or_buf",),
    "pandas.read_parquet": ("path",),
    "pandas.read_feather": ("path",),
    **dict.fromkeys(
        [f"polars.{name}" for name in MODULES["polars"] if name.startswith(("read_", "scan_"))], ("source",)
    ),
    "numpy.load": ("file",),
    "numpy.loadtxt": ("fname",),
    "numpy.genfromtxt": ("fname",),
}
WRITERS: dict[str, tuple[str, ...]] = {
    "numpy.save": ("file",),
    "numpy.savez": ("file",),
    "numpy.savetxt": ("fname",),
    "matplotlib.pyplot.savefig": ("fname",),
}
SAVES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(["to_csv", "to_json"], ("path_or_buf",)),
    **dict.fromkeys(["to_html", "to_string", "to_markdown", "to_latex"], ("buf",)),
    "to_parquet": ("path",),
    "to_feather": ("path",),
    "to_excel": ("excel_writer",),
    "savefig": ("fname",),
    **dict.fromkeys(["write_csv", "write_json", "write_ndjson", "write_parquet"], ("file",)),
}
"""Methods that write a file where they are given a path."""
GIVES_TEXT = names("to_csv to_json to_html to_string to_markdown to_latex write_csv write_json write_ndjson")
"""Those of them that return text without one."""

BY_NAME = names("apply agg aggregate transform pivot_table crosstab map_elements pipe")
"""Methods that call another method by the name in a string: ``df.agg("to_csv")``."""
AGGREGATES = names(
    "sum mean median min max count size std var sem first last nunique prod mode all any skew kurt quantile idxmin idxmax "
    "cumsum cumprod cummax cummin cumcount rank diff shift pct_change ffill bfill abs round len nth describe "
    "ngroup unique value_counts"
)

# What makes a known function write, load a plug-in or call something by name.
KEYWORDS = names(
    "backend storage_options filesystem allow_pickle object_hook object_pairs_hook cls parse_float fp buf path_or_buf "
    "path file filename fname filepath_or_buffer io excel_writer source opener usetex picker url urls plugin into "
    "FigureClass axes_class projection session_kwargs credential_provider globals locals local_dict global_dict resolvers"
)
ENGINES = names("c python pyarrow fastparquet openpyxl auto calamine streaming cpu")

STYLES = names(
    "default classic ggplot fivethirtyeight bmh dark_background grayscale fast tableau-colorblind10 Solarize_Light2 "
    "seaborn-v0_8 seaborn-v0_8-whitegrid seaborn-v0_8-darkgrid seaborn-v0_8-white seaborn-v0_8-ticks "
    "seaborn-v0_8-talk seaborn-v0_8-paper seaborn-v0_8-poster seaborn-v0_8-muted seaborn-v0_8-colorblind "
    "seaborn-v0_8-deep seaborn-v0_8-pastel seaborn-v0_8-bright"
)

OPTIONAL = names(
    "numexpr bottleneck tabulate numba scipy xlrd openpyxl xlsxwriter pyxlsb odf s3fs gcsfs fsspec lxml bs4 html5lib "
    "sqlalchemy tables pyreadstat pyarrow fastparquet qtpy PyQt5 PyQt6 PySide6 jinja2 pytz tzdata zstandard brotli snappy blosc "
    "python_calamine adbc_driver_manager psycopg2 pymysql xarray cupy dask sparse mkl pyximport IPython certifi kiwisolver "
    "contourpy cycler dateutil fontTools PIL pyparsing torch jax deltalake connectorx great_tables hvplot altair cloudpickle "
    "nest_asyncio gevent pydantic polars pandas numpy matplotlib hypothesis pytest charset_normalizer threadpoolctl"
)
"""What the libraries import where they find it, whether or not it is installed."""
