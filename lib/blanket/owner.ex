defmodule Blanket.Owner do
  @moduledoc false

  # What `use Blanket, table: definition` makes of a module: a GenServer that owns one kept table, which
  # is its state.

  alias Blanket.Native

  @child [:id, :restart, :shutdown]
  @keep [:populate, :transient]

  @doc """
  The definitions for a module that says `use Blanket` with these options.
  """
  @spec definitions(Macro.t(), module) :: Macro.t()
  def definitions([], _module), do: nil

  def definitions(options, module) do
    check!(options, module)
    {table, options} = Keyword.pop!(options, :table)
    {child, keep} = Keyword.split(options, @child)

    quote do
      # To use it twice would be a warning.
      unless GenServer in Module.get_attribute(__MODULE__, :behaviour), do: use(GenServer)

      @doc "Creates the table, unless it is kept already, and starts its owner: see `use Blanket`."
      @spec start_link(term) :: GenServer.on_start()
      def start_link(arg \\ []),
        do: Blanket.Owner.start_link(__MODULE__, arg, unquote(table), unquote(keep))

      @doc false
      def child_spec(arg), do: Blanket.Owner.child_spec(super(arg), arg, unquote(child))

      @doc false
      def init(_arg), do: Blanket.Owner.init(__MODULE__, unquote(table))

      defoverridable start_link: 0, start_link: 1, child_spec: 1, init: 1
    end
  end

  defp check!(options, module) do
    known = [:table] ++ @keep ++ @child

    cond do
      not Keyword.keyword?(options) ->
        wrong!(module, "#{Macro.to_string(options)} is not a list of options")

      unknown = Enum.find(Keyword.keys(options), &(&1 not in known)) ->
        wrong!(module, "it knows no option #{inspect(unknown)}, but #{inspect(known)}")

      not Keyword.has_key?(options, :table) ->
        wrong!(module, "with options it needs the table: table: {name, options}")

      true ->
        :ok
    end
  end

  defp wrong!(module, what),
    do: raise(ArgumentError, "use Blanket in #{inspect(module)}: #{what}")

  @doc """
  Starts the owner by its name, with a table kept for it.
  """
  @spec start_link(module, term, atom | Blanket.definition(), [Blanket.option()]) ::
          GenServer.on_start()
  def start_link(module, arg, table, keep) do
    name = name(module, arg)
    keep = Keyword.replace_lazy(keep, :populate, &checked(&1, module))

    with {:ok, _heir} <- Blanket.new(module, name, definition(table), keep),
         do: GenServer.start_link(module, arg, name: name)
  end

  # A supervisor would show any other answer as the bare reason of its own failure.
  defp checked(populate, module) when is_function(populate, 1) do
    fn table ->
      case populate.(table) do
        :ok ->
          :ok

        {:error, _reason} = error ->
          error

        other ->
          wrong!(
            module,
            "the function given as :populate has to answer :ok or {:error, reason}, and answered " <>
              "#{inspect(other, limit: 10)}. To insert answers true: end the function with :ok"
          )
      end
    end
  end

  defp checked(other, _module), do: other

  @doc """
  The child specification that `use GenServer` makes, with an id for each name.
  """
  @spec child_spec(Supervisor.child_spec(), term, keyword) :: Supervisor.child_spec()
  def child_spec(child_spec, arg, overrides) do
    overrides = if named?(arg), do: Keyword.put(overrides, :id, arg[:name]), else: overrides
    Supervisor.child_spec(child_spec, overrides)
  end

  @doc """
  Receives the table, which `start_link/4` has created.
  """
  @spec init(module, atom | Blanket.definition()) ::
          {:ok, Blanket.Table.table()} | {:stop, term}
  def init(module, table) do
    {name, _options} = definition(table)
    unless kept?(module, name), do: wrong!(module, not_kept(module, name))
    with {:error, reason} <- Blanket.receive_table(name), do: {:stop, reason}
  end

  # For which of the names of its owners, is up to the module.
  defp kept?(module, name) do
    {:registered_name, registered} = Process.info(self(), :registered_name)

    Native.kept({module, registered, name}) != nil or
      Enum.any?(Native.kept(), fn {_ref, _table, keep} ->
        keep.module == module and keep.name == name
      end)
  end

  defp not_kept(module, name) do
    "the process was started with no table #{inspect(name)} kept for it. Start it by the " <>
      "start_link/1 that `use Blanket` defines. One of your own starts it by super(arg), or calls " <>
      "Blanket.new(#{inspect(module)}, name, {#{inspect(name)}, options}) before it starts the " <>
      "process by this name"
  end

  defp name(module, arg), do: if(named?(arg), do: arg[:name], else: module)
  defp named?(arg), do: Keyword.keyword?(arg) and Keyword.has_key?(arg, :name)

  defp definition(name) when is_atom(name), do: {name, []}
  defp definition({_name, _options} = definition), do: definition
end
