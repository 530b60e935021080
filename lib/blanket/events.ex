defmodule Blanket.Events do
  @moduledoc false

  # Tells the world what happens to kept tables: telemetry, the log, and whoever asks for the latest.
  # It is a process of its own, so that a handler that never returns keeps no heir from its work.

  use GenServer

  require Logger

  alias Blanket.Inspector.Words
  alias Blanket.{Native, Telemetry}

  @remembered 200

  @typedoc "What was told, with its number, and when."
  @type told :: %{
          number: pos_integer,
          time: DateTime.t(),
          event: atom,
          table: reference,
          text: String.t()
        }

  @typedoc "An heir, or what makes one."
  @type kept :: %{
          :ref => term,
          :table => reference,
          :keep => map,
          optional(atom) => term
        }

  ## What may happen

  @spec created(ref :: term) :: :ok
  def created(ref) do
    with {table, keep} <- Native.kept(ref),
         do: tell(:created, %{ref: ref, table: table, keep: keep}, %{creator: self()})

    :ok
  end

  @spec claimed(ref :: term) :: :ok
  def claimed(ref) do
    with {table, keep} <- Native.kept(ref) do
      created = match?(%{hand_overs: 0}, Native.info(table))
      tell(:claimed, %{ref: ref, table: table, keep: keep}, %{to: self(), created: created})
    end

    :ok
  end

  @spec abandoned(kept) :: :ok
  def abandoned(kept), do: tell(:abandoned, kept, %{from: self()})

  @spec orphaned(kept, pid, reason :: term) :: :ok
  def orphaned(kept, from, reason), do: tell(:orphaned, kept, %{from: from, reason: reason})

  @doc """
  `info` is what the table was like then, if that is known: it may have gone on since.
  """
  @spec handed_over(kept, map, info :: map | nil) :: :ok
  def handed_over(kept, %{to: _, from: _, reason: _, via: _} = metadata, info),
    do: tell(:handed_over, kept, metadata, info)

  @spec deleted(kept, pid | nil, reason :: term) :: :ok
  def deleted(kept, from, reason), do: tell(:deleted, kept, %{from: from, reason: reason})

  @spec restarted(kept) :: :ok
  def restarted(kept), do: tell(:restarted, kept, %{heir: self()})

  # What can be found out later is: the next owner may be waiting for the process that calls this.
  defp tell(event, %{ref: ref, table: table, keep: keep}, metadata, info \\ nil) do
    info = info || if(event in [:handed_over, :claimed], do: Native.info(table))
    send(__MODULE__, {event, System.system_time(), ref, table, keep, info, metadata})
    :ok
  rescue
    # It is being started again, or the application is stopped.
    ArgumentError -> :ok
  end

  ## For those who ask

  @doc """
  The latest events after the one with this number, newest first. None if there is nobody to ask.
  """
  @spec latest(non_neg_integer) :: [told]
  def latest(number \\ 0) do
    GenServer.call(__MODULE__, {:latest, number}, 1000)
  catch
    :exit, _ -> []
  end

  ## The process

  @spec start_link(term) :: GenServer.on_start()
  def start_link(_), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @impl true
  def init(nil), do: {:ok, %{number: 0, told: []}}

  @impl true
  def handle_call({:latest, number}, _from, state),
    do: {:reply, Enum.take_while(state.told, &(&1.number > number)), state}

  @impl true
  def handle_info({event, time, ref, table, keep, info, metadata}, state) do
    info = info || Native.info(table)
    figures = figures(event, info)
    metadata = Map.merge(about(ref, table, keep, info), metadata)
    text = text(event, figures, metadata)
    Logger.log(level(event), text, domain: [:blanket])
    Telemetry.execute(name(event), figures, metadata)
    time = DateTime.from_unix!(time, :native)
    told = %{number: state.number + 1, time: time, event: event, table: table, text: text}
    {:noreply, %{number: told.number, told: Enum.take([told | state.told], @remembered)}}
  end

  # From the library: nobody is left who could be told.
  def handle_info({:unwritten, path, reason}, state) do
    reason = Blanket.Table.Error.file_reason(reason)

    Logger.error(
      "the last changes of a durable table whose owner has exited are lost: " <>
        "the file #{path} could not be written: #{reason}",
      domain: [:blanket]
    )

    {:noreply, state}
  end

  def handle_info(_message, state), do: {:noreply, state}

  # A table that was claimed is kept as a term that is no name.
  defp about(ref, table, keep, info) do
    name = if info == :undefined, do: keep.name, else: info.name
    %{table: table, name: name, kept_as: ref, module: keep.module, owner: keep.owner}
  end

  defp figures(:deleted, _info), do: %{}
  defp figures(_event, :undefined), do: %{size: 0}

  defp figures(:handed_over, info) do
    duration = System.convert_time_unit(info.waited, :nanosecond, :native)
    %{size: info.size, hand_overs: info.hand_overs, duration: duration}
  end

  defp figures(:claimed, info), do: %{size: info.size, hand_overs: info.hand_overs}
  defp figures(_event, info), do: %{size: info.size}

  defp name(:restarted), do: [:blanket, :heir, :restarted]
  defp name(event), do: [:blanket, :table, event]

  defp level(event) when event in [:created, :claimed, :deleted], do: :debug
  defp level(_event), do: :info

  ## In words

  defp text(:created, _figures, %{creator: pid} = about),
    do: "#{table(about)} was created by #{inspect(pid)} and is kept"

  defp text(:orphaned, figures, %{from: from} = about) do
    "#{table(about)} is an orphan: its owner #{inspect(from)} exited#{because(about)}. " <>
      "It holds #{objects(figures)}"
  end

  defp text(:handed_over, figures, %{via: :give_away} = about),
    do: "#{table(about)} was given away#{from_to(about)}, with #{objects(figures)}"

  defp text(:handed_over, figures, about) do
    "#{table(about)} was handed over#{from_to(about)}#{after_which(figures, about)}, " <>
      "with #{objects(figures)}"
  end

  defp text(:claimed, _figures, %{created: true} = about),
    do: "#{table(about)} was created and claimed by #{inspect(about.to)}"

  defp text(:claimed, _figures, about), do: "#{table(about)} was claimed by #{inspect(about.to)}"

  defp text(:abandoned, _figures, about),
    do: "#{table(about)} is kept no longer: its owner #{inspect(about.from)} abandoned it"

  defp text(:deleted, _figures, about), do: "#{table(about)} was deleted#{because(about)}"

  defp text(:restarted, _figures, about),
    do: "#{table(about)} has a new heir, #{inspect(about.heir)}, in place of one that died"

  defp table(%{name: name, kept_as: {_, _, name}, owner: owner}) when owner != nil,
    do: "Table #{show(name)}, kept for #{show(owner)},"

  defp table(%{name: name, kept_as: name}), do: "Table #{show(name)}"
  defp table(%{name: name, kept_as: ref}), do: "Table #{show(name)}, kept as #{show(ref)},"

  defp from_to(%{from: nil, to: to}), do: " to #{inspect(to)}"
  defp from_to(%{from: from, to: to}), do: " from #{inspect(from)} to #{inspect(to)}"

  defp because(%{reason: nil}), do: ""
  defp because(%{reason: reason}), do: " (#{show(reason)})"

  # There are no figures when it was deleted meanwhile.
  defp after_which(figures, _about) when not is_map_key(figures, :duration), do: ""

  defp after_which(%{duration: duration, hand_overs: hand_overs}, about) do
    span = duration |> System.convert_time_unit(:native, :microsecond) |> Words.span()

    if about.from == nil and hand_overs == 1,
      do: " #{span} after it was created",
      else: " in #{span}"
  end

  defp objects(%{size: size}), do: Words.objects(size)

  defp show(term), do: inspect(term, limit: 10, printable_limit: 100)
end
